//! The page of `lyapunov report`: what it holds, what it refuses, and what a browser makes of it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command as Process, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{program, set, small};

/// What a run measures: everything.
const MEASURED: [&str; 2] = ["exponents.count=2", "measure.what=[\"lambda_max\", \"lambda_min\", \"batch_sharpness\"]"];

/// Text that would be a script if it were not escaped, and would end an attribute.
const HOSTILE: &str = "x\"'><img src=x onerror=alert(1)><script>alert(1)</script>";

fn train(out: &Path, settings: &[&str]) -> PathBuf {
    let mut command = program();
    command
        .arg("train")
        .args(small(12))
        .args(set(MEASURED))
        .args(["--set", "measure.every=3"])
        .args(set(settings))
        .arg("--json")
        .arg("--out")
        .arg(out);
    let output = command.assert().success().get_output().clone();
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    PathBuf::from(object["run"].as_str().unwrap())
}

/// Runs over two rates and two seeds, one that diverges, and one with a name that is a script.
fn runs() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (rate, seed) in [("0.05", "0"), ("0.05", "1"), ("0.02", "0"), ("0.02", "1"), ("1e9", "0")] {
        train(
            folder.path(),
            &[&format!("optimizer.learning_rate={rate}"), &format!("run.seed={seed}"), "measure.every=3"],
        );
    }
    let run = train(folder.path(), &["optimizer.learning_rate=0.03", "measure.every=3"]);
    let manifest = run.join("manifest.json");
    let mut object: Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
    for key in ["data", "version", "git_commit", "device", "fault"] {
        object[key] = HOSTILE.into();
    }
    fs::write(&manifest, object.to_string()).unwrap();
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    let quoted = format!("{HOSTILE:?}");
    fs::write(run.join("config.toml"), config.replacen("\"relu\"", &quoted, 1)).unwrap();
    // A folder's name may not have a slash.
    fs::rename(&run, folder.path().join(HOSTILE.replace('/', "_"))).unwrap();
    folder
}

fn report(places: &[&Path], out: &Path) -> assert_cmd::assert::Assert {
    program().arg("report").args(places).arg("--out").arg(out).assert()
}

/// A browser, where there is one.
fn browser() -> Option<&'static str> {
    ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| {
        Process::new(name)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    })
}

/// Listens to faults before the page's own scripts run.
const LISTEN: &str = "<script>const faults = []; addEventListener('error', (event) => \
    faults.push(String(event.message || event.target)), true);
    addEventListener('securitypolicyviolation', (event) => faults.push('policy: ' + event.blockedURI));
    console.error = (...words) => faults.push(words.join(' ')); window.alert = () => faults.push('alert');</script>";

/// Uses the page as a reader would, and notes what it found.
const USE: &str = r"<script>
addEventListener('load', () => setTimeout(() => {
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
  const column = (name) => all('#runs-table th').findIndex((heading) => heading.textContent === name);
  const cells = (name) => all('#runs-table tbody tr').map((row) => row.cells[column(name)].textContent);
  const click = (name) => all('#runs-table th')[column(name)].querySelector('button').click();
  const found = { across: all('#across svg[role=img]').length, before: all('details.run .panels svg').length };
  const boxes = all('#choice input');
  const drawn = () => all('#curves .card').map((card) => all('.curve', card).length);
  const push = (name) => all('#side button').find((one) => one.textContent === name).click();
  found.first = document.querySelector('main section h2').textContent;
  found.cards = all('#curves .title').map((title) => title.textContent);
  found.listed = all('#choice label').map((one) => one.querySelector('span').textContent);
  found.chosen = [document.getElementById('chosen').textContent, drawn()[0]];
  boxes.find((box) => box.checked).click();
  found.fewer = [document.getElementById('chosen').textContent, drawn()[0]];
  push('none');
  found.none = [document.getElementById('chosen').textContent, drawn()[0]];
  const choose = document.getElementById('choose');
  choose.value = 'η 0.02'; choose.dispatchEvent(new Event('input'));
  push('all');
  found.filteredChoice = [document.getElementById('chosen').textContent, drawn()[0]];
  choose.value = ''; choose.dispatchEvent(new Event('input'));
  push('all');
  found.all = [document.getElementById('chosen').textContent, drawn()[0]];
  const overlaid = all('#curves svg.chart')[0];
  overlaid.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowRight', bubbles: true }));
  found.overlaidTip = overlaid.parentElement.querySelector('.tip').textContent;
  found.strong = all('.strong', overlaid.parentElement.querySelector('.cursor-layer')).length;
  found.unnamed = all('input, button, svg[role=img], details > summary').filter((one) =>
    !(one.textContent.trim() || one.getAttribute('aria-label') || (one.labels && one.labels.length))).map((one) => one.outerHTML.slice(0, 80));
  found.table = [document.querySelector('.scroll').scrollWidth, document.querySelector('.scroll').clientWidth, document.documentElement.scrollWidth <= innerWidth];
  click('learning rate');
  found.upwards = cells('learning rate');
  click('learning rate');
  found.downwards = cells('learning rate');
  found.sorted = all('#runs-table th')[column('learning rate')].getAttribute('aria-sort');
  const filter = document.getElementById('filter');
  filter.value = 'diverged'; filter.dispatchEvent(new Event('input'));
  found.filtered = all('#runs-table tbody tr').filter((row) => !row.hidden).length;
  found.counted = document.getElementById('count').textContent;
  filter.value = ''; filter.dispatchEvent(new Event('input'));
  const details = all('details.run')[0];
  details.querySelector('summary').click();
  setTimeout(() => {
    const charts = all('svg[role=img]', details);
    found.panels = charts.map((chart) => chart.querySelector('.title').textContent);
    const ends = () => charts.map((chart) => all('.tick', chart).map((tick) => tick.textContent).join(' '));
    const whole = ends();
    const press = (key) => charts[0].dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
    press('ArrowRight'); press('ArrowRight');
    found.tip = charts[0].parentElement.querySelector('.tip').textContent;
    press('+');
    found.zoomed = ends().filter((end, i) => end !== whole[i]).length;
    press('0');
    found.back = ends().every((end, i) => end === whole[i]);
    const paths = all('svg path');
    found.paths = paths.length;
    found.unfinished = paths.filter((path) => /NaN|Infinity|undefined/.test(path.outerHTML)).length;
    found.numbers = /NaN|Infinity|undefined/.test(all('svg').map((chart) => chart.outerHTML).join(''));
    found.paper = Charts.paper(charts[0]);
    new DOMParser().parseFromString(found.paper, 'image/svg+xml').querySelector('parsererror') && faults.push('the SVG is not well-formed');
    const buttons = all('.chart-tools button', details).map((one) => one.textContent);
    found.buttons = ['SVG', 'PNG', 'CSV'].every((name) => buttons.includes(name));
    found.scripts = all('img').length + all('main script').length;
    const before = document.documentElement.dataset.theme;
    document.getElementById('theme').click();
    found.themed = before !== document.documentElement.dataset.theme;
    found.requests = performance.getEntriesByType('resource').map((entry) => entry.name);
    found.faults = faults;
    const result = document.createElement('pre');
    result.id = 'result';
    result.textContent = encodeURIComponent(JSON.stringify(found));
    document.body.appendChild(result);
  }, 200);
}, 100));
</script>";

/// What the browser found in the page; `None` where there is no browser.
fn used(page: &Path) -> Option<Value> {
    let Some(browser) = browser() else {
        eprintln!("no browser here: what needs one is left out");
        return None;
    };
    let html = fs::read_to_string(page).unwrap();
    let harness =
        html.replacen("</head>", &format!("{LISTEN}</head>"), 1).replacen("</body>", &format!("{USE}</body>"), 1);
    let copy = page.with_file_name("used.html");
    fs::write(&copy, harness).unwrap();
    let output = Process::new(browser)
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--window-size=1200,900",
            "--virtual-time-budget=5000",
            "--dump-dom",
        ])
        .arg(format!("--user-data-dir={}", page.with_file_name("browser").display()))
        .arg(format!("file://{}", copy.display()))
        .output()
        .unwrap();
    let dom = String::from_utf8(output.stdout).unwrap();
    let result = dom.split("<pre id=\"result\">").nth(1).expect("the page has been used to its end");
    let text = decoded(result.split("</pre>").next().unwrap());
    Some(serde_json::from_str(&text).unwrap())
}

/// The inverse of `encodeURIComponent`.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        if *first == b'%' {
            bytes.push(u8::from_str_radix(std::str::from_utf8(&after[..2]).unwrap(), 16).unwrap());
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).unwrap()
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

#[test]
fn a_page_works_in_a_browser_and_hostile_names_do_nothing() {
    let folder = runs();
    let page = folder.path().join("report.html");
    let message = report(&[folder.path()], &page).success().get_output().clone();
    let message = String::from_utf8(message.stdout).unwrap();
    assert!(message.starts_with("6 runs: 5 completed, 1 diverged."), "{message}");
    let html = fs::read_to_string(&page).unwrap();
    assert!(!html.contains("<img") && !html.contains("<script>alert"), "text is not markup");
    assert_eq!(html.matches("</script>").count(), 6, "nothing ends the scripts of the page but the page");
    assert!(
        !html.contains("http://")
            || html.matches("http://").count() == html.matches("http://www.w3.org/2000/svg").count()
    );
    assert!(
        !html.contains("https://") && !html.contains("@import") && !html.contains("src=\"") && !html.contains("NaN,")
    );
    let Some(found) = used(&page) else { return };
    assert_eq!(found["faults"], serde_json::json!([]), "no fault, no script of a run, nothing that the policy forbids");
    assert_eq!(found["requests"], serde_json::json!([]), "no request");
    assert!(
        found["across"].as_u64().unwrap() >= 4 && found["before"] == 0,
        "runs are drawn when they are opened: {found}"
    );
    assert_eq!(found["first"], "Curves", "a page opens on curves");
    let cards = texts(&found["cards"]);
    assert_eq!(cards[..2], ["loss of the mini-batch", "η·λmax"], "{cards:?}");
    let listed = texts(&found["listed"]);
    let ends: Vec<&str> = listed.iter().map(|label| label.split_once(" · ").unwrap().1).collect();
    assert!(listed[2].starts_with("activation\u{a0}relu · "), "the key in which one run differs: {listed:?}");
    let seeds = |rate: &str| [0, 1].map(|seed| format!("η\u{a0}{rate} · seed\u{a0}{seed}"));
    assert_eq!(ends[..4], [seeds("0.02"), seeds("0.05")].concat(), "by η, then by seed");
    let choice = |name: &str| (found[name][0].as_str().unwrap().to_owned(), found[name][1].as_u64().unwrap());
    assert_eq!(choice("chosen"), ("5 of 6".to_owned(), 5), "none that diverged, where others did not");
    assert_eq!(choice("fewer"), ("4 of 6".to_owned(), 4));
    assert_eq!(choice("none"), ("0 of 6".to_owned(), 0));
    assert_eq!(choice("filteredChoice"), ("2 of 6".to_owned(), 2), "all of what the filter leaves");
    assert_eq!(choice("all"), ("6 of 6".to_owned(), 6));
    assert!(found["overlaidTip"].as_str().unwrap().contains("η 0.02"), "{}", found["overlaidTip"]);
    assert_eq!((&found["strong"], &found["unnamed"]), (&1.into(), &serde_json::json!([])), "everything has a name");
    assert!(
        found["table"][0].as_u64() <= found["table"][1].as_u64() && found["table"][2] == true,
        "{}",
        found["table"]
    );
    assert_eq!(texts(&found["upwards"]), ["0.02", "0.02", "0.03", "0.05", "0.05", "1000000000.0"], "as numbers");
    assert_eq!(texts(&found["downwards"]), ["1000000000.0", "0.05", "0.05", "0.03", "0.02", "0.02"]);
    assert_eq!(found["sorted"], "descending");
    assert_eq!((&found["filtered"], &found["counted"]), (&1.into(), &"1 of 6 runs".into()));
    let panels =
        ["loss", "test accuracy", "sharpness × η", "Lyapunov exponents", "learning rate η", "cost of measuring"];
    assert_eq!(texts(&found["panels"]), panels);
    assert!(found["tip"].as_str().unwrap().starts_with("step 1mini-batch "), "{}", found["tip"]);
    assert_eq!((&found["zoomed"], &found["back"]), (&6.into(), &true.into()), "all charts of a run zoom together");
    assert!(found["paths"].as_u64().unwrap() > 20 && found["unfinished"] == 0 && found["numbers"] == false, "{found}");
    let paper = found["paper"].as_str().unwrap();
    assert!(
        paper.contains("http://www.w3.org/2000/svg") && !paper.contains("var(--"),
        "an exported figure needs no page"
    );
    assert_eq!((&found["buttons"], &found["themed"], &found["scripts"]), (&true.into(), &true.into(), &0.into()));
}

#[test]
fn a_page_is_a_pure_function_of_the_folders() {
    let folder = tempfile::tempdir().unwrap();
    let run = train(folder.path(), &[]);
    let page = folder.path().join("report.html");
    let build = || {
        report(&[&run], &page).success();
        fs::read_to_string(&page).unwrap()
    };
    let first = build();
    assert_eq!(first, build());
    assert!(first.contains("1 run: 1 completed.") && first.contains("config.toml"));
    assert!(!first.contains("Across runs") && !first.contains("id=\"curves\""), "one run has nothing beside it");
    assert!(first.find(">Curves</h2>") < first.find(">All runs</h2>"), "its own curves come first");
}

#[test]
fn runs_that_cannot_be_read_are_named_and_do_not_hide_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["whole", "no-rows", "no-manifest", "newer"];
    let run = train(folder.path(), &[]);
    for name in &names[1..] {
        let copy = folder.path().join(name);
        fs::create_dir(&copy).unwrap();
        for file in ["config.toml", "manifest.json", "run.sqlite"] {
            fs::copy(run.join(file), copy.join(file)).unwrap();
        }
    }
    fs::write(folder.path().join("no-rows/run.sqlite"), vec![7; 4096]).unwrap();
    fs::write(folder.path().join("no-manifest/manifest.json"), "{").unwrap();
    fs::write(folder.path().join("newer/manifest.json"), r#"{"format": 99, "version": "9.9.9"}"#).unwrap();
    let page = folder.path().join("report.html");
    let output = report(&[folder.path()], &page).code(1).get_output().clone();
    let (message, html) = (String::from_utf8(output.stderr).unwrap(), fs::read_to_string(&page).unwrap());
    assert!(message.contains("3 of 4 runs could not be read"), "{message}");
    for text in [&message, &html] {
        for name in [
            "no-rows/run.sqlite",
            "no-manifest/manifest.json",
            "newer/manifest.json",
            "newer version of lyapunov, 9.9.9",
        ] {
            assert!(text.contains(name), "{name} is named: {message}");
        }
    }
    assert!(html.contains("1 run: 1 completed.") && html.contains("Left out: 3 runs"));
    let only = report(&[&folder.path().join("no-rows")], &folder.path().join("none.html")).code(2).get_output().clone();
    let message = String::from_utf8(only.stderr).unwrap();
    assert!(
        message.contains("there is no run that can be read") && message.contains("no-rows/run.sqlite"),
        "{message}"
    );
    assert!(!folder.path().join("none.html").exists());
}

#[test]
fn a_report_of_nothing_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let output = report(&[folder.path()], &folder.path().join("report.html")).code(2).get_output().clone();
    let message = String::from_utf8(output.stderr).unwrap().replace(&folder.path().display().to_string(), "DIR");
    assert!(
        message.starts_with("error: there is no run in DIR\n")
            && message.contains(
                "a run is a folder with a \
            manifest.json"
            ),
        "{message}"
    );
    program().arg("report").assert().code(2);
}

#[test]
fn a_run_that_was_killed_is_reported_as_killed() {
    let folder = tempfile::tempdir().unwrap();
    let run = train(folder.path(), &[]);
    let manifest = run.join("manifest.json");
    let mut object: Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
    for key in ["finished", "steps", "train_loss", "test_accuracy", "wall_seconds", "measuring_cost"] {
        object[key] = Value::Null;
    }
    object["outcome"] = "running".into();
    fs::write(&manifest, object.to_string()).unwrap();
    let page = folder.path().join("report.html");
    let output = report(&[&run], &page).success().get_output().clone();
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("1 run: 1 killed."));
    assert!(fs::read_to_string(&page).unwrap().contains("class=\"state killed\""));
}

#[test]
fn help_reads_well() {
    let output = program().env("COLUMNS", "100").args(["report", "--help"]).assert().success().get_output().clone();
    insta::assert_snapshot!("help", String::from_utf8(output.stdout).unwrap());
}
