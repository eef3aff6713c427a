//! `report.html` and `headprof report`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{HEADS, LAYERS, ended, fails, headprof, needles, run, stderr, text};

/// A browser without a window, if there is one; in CI there is.
fn chromium() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let folders: Vec<PathBuf> =
        std::env::var_os("PATH").iter().flat_map(std::env::split_paths).collect();
    let found = names.iter().flat_map(|name| folders.iter().map(move |dir| dir.join(name)));
    let found = found.into_iter().find(|path| path.is_file());
    let required = std::env::var_os("HEADPROF_REQUIRE_CHROMIUM").is_some();
    assert!(found.is_some() || !required, "no chromium in PATH");
    found
}

/// What `script` finds in the page at `page`, which it puts into `result`; what the page says on
/// its console is a failure.
fn found_in(page: &Path, script: &str) -> Option<Value> {
    let chromium = chromium()?;
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("page.html");
    let wrapped = format!(
        "<script type=\"module\">\nconst result = {{}};\n\
         const wait = (ms) => new Promise((done) => setTimeout(done, ms));\n{script}\n\
         const out = document.createElement(\"pre\");\nout.id = \"found\";\n\
         out.textContent = JSON.stringify(result).replaceAll(\"<\", \"\\\\u003c\");\n\
         document.body.append(out);\n</script>\n</body>"
    );
    let html = fs::read_to_string(page).unwrap();
    assert_eq!(html.matches("</body>").count(), 1);
    fs::write(&copy, html.replace("</body>", &wrapped)).unwrap();
    let profile = format!("--user-data-dir={}", text(&dir.path().join("profile")));
    let output = Command::new(chromium)
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        .args(["--virtual-time-budget=8000", "--window-size=1280,1600", "--enable-logging=stderr"])
        .args([&profile, "--dump-dom", &format!("file://{}", copy.display())])
        .output()
        .unwrap();
    let said = stderr(&output);
    assert!(!said.contains("CONSOLE"), "{said}");
    let dom = String::from_utf8(output.stdout).unwrap();
    let found = dom.split_once("<pre id=\"found\">").unwrap_or_else(|| panic!("{said}{dom}")).1;
    let json = found.split_once("</pre>").unwrap().0;
    let json = json.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">");
    Some(serde_json::from_str(&json).unwrap())
}

fn data(page: &Path) -> Value {
    let html = fs::read_to_string(page).unwrap();
    let data = html.split_once("id=\"data\">").unwrap().1.split_once("</script>").unwrap().0;
    serde_json::from_str(data.trim()).unwrap()
}

/// A head's row of facts in the page's words: three significant digits.
fn said(found: &Value, value: &Value) -> bool {
    let value = value.as_f64().unwrap();
    let text = found.as_str().unwrap();
    let numbers = text.split(|c: char| !(c.is_ascii_digit() || ".e-−".contains(c)));
    let numbers = numbers.filter_map(|word| word.replace('−', "-").parse::<f64>().ok());
    numbers.into_iter().any(|number| (number - value).abs() <= 0.006 * value.abs() + 1e-9)
}

#[test]
fn a_profile_has_a_page_with_everything_on_it() {
    let page = run().dir.path().join("report.html");
    assert!(fs::metadata(&page).unwrap().len() < 2 << 20);
    let data = data(&page);
    assert_eq!(
        (&data["model"]["name"], &data["model"]["kv_heads"]),
        (&"needle-llama".into(), &4.into())
    );
    let names: Vec<&str> =
        data["scores"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(names[..5], ["retrieval", "retrieval_reasoning", "dili", "lazy", "inf"]);
    for score in data["scores"].as_array().unwrap() {
        for list in ["mean", "low", "high", "top"] {
            assert_eq!(score[list].as_array().unwrap().len(), LAYERS * HEADS, "{list}");
        }
        assert!(score["by_place"].is_object());
    }
    let lines = fs::read_to_string(run().dir.path().join("probes.jsonl")).unwrap();
    assert_eq!(data["answers"].as_array().unwrap().len(), lines.lines().count());
    assert!(data["kinds"]["induction"].is_array());
    // The same page of the files alone.
    let before = fs::read(&page).unwrap();
    let output = headprof(&["report", text(run().dir.path())]);
    ended(&output, 0, &[]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("report.html"));
    assert_eq!(fs::read(&page).unwrap(), before);
}

#[test]
fn the_page_tells_of_the_head_under_the_pointer() {
    let page = run().dir.path().join("report.html");
    let script = "\
        const map = document.getElementById('heads-map'), tip = document.getElementById('tooltip');\n\
        await wait(500);\n\
        result.ready = window.headprofReport.ready;\n\
        result.hidden = [...document.querySelectorAll('main > section')]\
            .filter((s) => s.hidden).map((s) => s.id);\n\
        const over = (layer, head) => {\n\
            const cell = map.querySelector('g').children[layer * 8 + head].getBoundingClientRect();\n\
            const at = { clientX: cell.x + cell.width / 2, clientY: cell.y + cell.height / 2 };\n\
            map.dispatchEvent(new PointerEvent('pointermove', { ...at, pointerType: 'mouse' }));\n\
            return tip.hidden ? '' : tip.innerText;\n\
        };\n\
        result.corners = [over(0, 0), over(5, 0), over(0, 7), over(5, 7), over(2, 3)];\n\
        const select = document.getElementById('score-select');\n\
        select.value = '4';\n\
        select.dispatchEvent(new Event('change'));\n\
        await wait(100);\n\
        result.inf = over(2, 3);\n\
        map.focus();\n\
        const press = (key) => map.dispatchEvent(new KeyboardEvent('keydown', { key }));\n\
        over(1, 1);\n\
        press('ArrowRight');\n\
        press('ArrowDown');\n\
        press('Enter');\n\
        await wait(100);\n\
        result.panel = document.getElementById('head-panel').innerText;\n\
        result.answers = document.getElementById('answers-list').innerText.length;\n\
        const width = document.documentElement;\n\
        result.overflows = width.scrollWidth > width.clientWidth;";
    let Some(found) = found_in(&page, script) else { return };
    assert_eq!((&found["ready"], &found["overflows"]), (&true.into(), &false.into()));
    let hidden = ["budgets", "compression", "ablation"];
    assert_eq!(found["hidden"], serde_json::json!(hidden));
    let data = data(&page);
    let at =
        |score: usize, layer: usize, head: usize| &data["scores"][score]["mean"][layer * 8 + head];
    for (i, (layer, head)) in [(0, 0), (5, 0), (0, 7), (5, 7), (2, 3)].into_iter().enumerate() {
        let tip = &found["corners"][i];
        let text = tip.as_str().unwrap();
        assert!(text.contains(&format!("{layer}-{head}")), "{text}");
        assert!(said(tip, at(0, layer, head)), "{text}: {}", at(0, layer, head));
    }
    assert!(said(&found["inf"], at(4, 2, 3)), "{}", found["inf"]);
    assert!(found["panel"].as_str().unwrap().contains("2-2"), "{}", found["panel"]);
    assert!(found["answers"].as_u64().unwrap() > 200);
}

/// A needle of markup stays text: nothing of it becomes an element.
#[test]
fn what_a_needle_says_is_never_run() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("needles.jsonl");
    let markup = "<script>document.title = 'run'</script><img src=x onerror=alert(1)>";
    let needle = serde_json::json!({
        "id": markup, "needle": format!("The word is {markup}."), "question": "What is the word?",
        "answer": format!("{markup}."),
    });
    fs::write(&path, format!("{needle}\n")).unwrap();
    let grid = ["--lengths", "128", "--depths", "0.5", "--gate", "none", "--max-new-tokens", "2"];
    let files = ["--needles", text(&path), "--out", text(dir.path()), "--no-plots"];
    ended(&headprof(&[&grid[..], &files].concat()), 0, &[]);
    let script = "\
        await wait(300);\n\
        result.title = document.title.trim();\n\
        result.images = document.images.length;\n\
        result.scripts = document.scripts.length;\n\
        result.shown = document.getElementById('answers-list').innerText;";
    let Some(found) = found_in(&dir.path().join("report.html"), script) else { return };
    assert_eq!(found["title"], "needle-llama · headprof");
    // Data, page, and this test's.
    assert_eq!((&found["images"], &found["scripts"]), (&0.into(), &3.into()));
    assert!(found["shown"].as_str().unwrap().contains("<img src=x"), "{}", found["shown"]);
}

#[test]
fn pages_are_left_out_and_what_is_no_result_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let needles = needles(dir.path());
    let out = dir.path().join("out");
    let run = |more: &[&str]| {
        let grid = ["--lengths", "64", "--depths", "0.5", "--gate", "none", "--no-plots"];
        let files = ["--needles", text(&needles), "--max-new-tokens", "1", "--out", text(&out)];
        headprof(&[&grid[..], &files, more].concat())
    };
    ended(&run(&["--no-report"]), 0, &[]);
    assert!(!out.join("report.html").exists());
    // What stands in the way of the page is told, and the profile is there all the same.
    fs::write(out.join("evaluate.json"), "[]").unwrap();
    ended(&run(&["--fresh"]), 0, &["no report.html is written", "evaluate.json"]);
    assert!(!out.join("report.html").exists());
    fails(&["report", text(&out)], 3, &["evaluate.json"]);
    fs::remove_file(out.join("evaluate.json")).unwrap();
    fails(&["report", text(&out), "--model", "other"], 2, &["other", "needle-llama"]);
    fails(&["report", text(&dir.path().join("nowhere"))], 2, &["no such folder"]);
    let empty = tempfile::tempdir().unwrap();
    fails(&["report", text(empty.path())], 2, &["nothing to report"]);
    let json = headprof(&["report", text(&out), "--json"]);
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert!(json["bytes"].as_u64().unwrap() > 50_000, "{json}");
}
