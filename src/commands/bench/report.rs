//! The table for people.

use std::fmt;

use super::Bench;

impl fmt::Display for Bench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millions = self.parameters as f64 / 1e6;
        writeln!(
            f,
            "{} · {millions:.1} M weights in {} · {}, {}, {} threads · loaded in {:.2} s",
            self.model, self.weights_dtype, self.device, self.dtype, self.threads, self.load_secs
        )?;
        writeln!(
            f,
            "matrix product {:.1} GFLOP/s · copy {:.1} GB/s · {} tokens a pass\n",
            self.matmul_flops_per_sec / 1e9,
            self.copy_bytes_per_sec / 1e9,
            self.chunk_tokens
        )?;
        writeln!(f, "            prompt                          answer")?;
        writeln!(f, "  tokens   first token  tokens/s   share    ms/token  tokens/s   share")?;
        for length in &self.lengths {
            writeln!(
                f,
                "{:>8} {:>11.3} s {:>9.0} {:>5.0} % {:>11.2} {:>9.1} {:>5.0} %",
                length.tokens,
                length.prefill_secs,
                length.prefill_tokens_per_sec,
                100.0 * length.prefill_share,
                1e3 * length.decode_secs,
                length.decode_tokens_per_sec,
                100.0 * length.decode_share
            )?;
        }
        writeln!(f, "\nshare: of the matrix product's rate, of the copy's rate")?;
        match self.peak_rss_bytes {
            Some(bytes) => writeln!(f, "{} MiB of memory at most", bytes >> 20),
            None => Ok(()),
        }
    }
}
