//! What the machine says about itself: the time of day and the memory.

use std::time::{SystemTime, UNIX_EPOCH};

/// The time now, in UTC, as RFC 3339 with seconds.
pub fn utc_now() -> String {
    let secs = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    rfc3339(secs)
}

/// Seconds since 1970 as a date. Howard Hinnant's `civil_from_days`
/// (<https://howardhinnant.github.io/date_algorithms.html>): years begin in March, so that the
/// leap day is the last of a year.
fn rfc3339(secs: u64) -> String {
    let (days, time) = (secs / 86_400, secs % 86_400);
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let mp = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (h, m, s) = (time / 3600, time / 60 % 60, time % 60);
    format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}Z")
}

/// The machine's name in its network; `unknown` where the system does not say.
pub fn host_name() -> String {
    let name = ["/proc/sys/kernel/hostname", "/etc/hostname"].into_iter();
    let mut names = name.filter_map(|path| std::fs::read_to_string(path).ok());
    let name = names.find(|name| !name.trim().is_empty());
    name.map_or_else(|| "unknown".to_owned(), |name| name.trim().to_owned())
}

/// Whether a process of this number runs on this machine; that it does where the system does not
/// say.
pub fn is_running(pid: u32) -> bool {
    let processes = std::path::Path::new("/proc");
    !processes.join("self").exists() || processes.join(pid.to_string()).exists()
}

/// The largest resident memory of this process so far, in bytes; `None` where the system does not
/// say.
pub fn peak_rss_bytes() -> Option<u64> {
    kib_field("/proc/self/status", "VmHWM:")
}

/// Gives freed memory back to the system, for work of another kind, such as pictures behind probes:
/// GNU's library keeps what lies between things that are still there. From now on, for as long as
/// the process runs, whatever has more than 8 MiB has memory of its own, which goes back as soon as
/// it is freed.
pub fn give_back_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: both take numbers only. The first writes one word, which its library writes without a
    // lock itself where it adapts; the second may be called on any thread.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 8 << 20);
        libc::malloc_trim(0);
    }
}

/// Memory that new allocations can have without swapping, in bytes; `None` where the system does
/// not say.
pub fn available_memory_bytes() -> Option<u64> {
    kib_field("/proc/meminfo", "MemAvailable:")
}

/// A line such as `VmHWM:   1234 kB`, in bytes.
fn kib_field(path: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values from `date -u -d @N +%FT%TZ`.
    #[test]
    fn dates_by_hand() {
        for (secs, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(secs), text);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_is_read() {
        assert!(peak_rss_bytes().unwrap() > 1 << 20);
        assert!(available_memory_bytes().unwrap() > 1 << 20);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_machine_has_a_name_and_this_process_runs() {
        assert!(!host_name().is_empty() && host_name() == host_name().trim());
        assert!(is_running(std::process::id()));
        // Beyond the largest number that Linux gives.
        assert!(!is_running(4_194_305));
    }
}
