//! Every key of a configuration with values that it cannot have.

use std::{
    fs,
    time::{Duration, Instant},
};

use miette::Diagnostic;

use crate::{
    config::{DEFAULTS, Draft, Settings},
    error::Error,
    setup,
};

/// Wrong types, values out of every range, empty ones and huge ones.
const VALUES: [&str; 16] = [
    "\"nonsense\"",
    "\"\"",
    "-1",
    "-0.5",
    "1.5",
    "nan",
    "inf",
    "-inf",
    "9223372036854775807",
    "1e308",
    "true",
    "[]",
    "{}",
    "[[1], \"a\"]",
    "1979-05-27",
    "[0]",
];

/// The keys, with their sections.
fn keys() -> Vec<(String, String)> {
    let document: toml_edit::DocumentMut = DEFAULTS.parse().unwrap();
    let in_section = |(section, item): (&str, &toml_edit::Item)| {
        let names = item.as_table().unwrap().iter().map(|(name, _)| (section.to_owned(), name.to_owned()));
        names.collect::<Vec<_>>()
    };
    document.iter().flat_map(in_section).collect()
}

/// Whether a configuration is refused. A refusal comes at once, names the key, and points at its line.
fn refused(section: &str, name: &str, value: &str) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.toml");
    fs::write(&path, format!("# a run\n\n[{section}]\n{name} = {value}\n")).unwrap();
    let began = Instant::now();
    let mut draft = Draft::default();
    let outcome = draft.read(&path).and_then(|()| draft.finish());
    let took = began.elapsed();
    assert!(took < Duration::from_millis(200), "{section}.{name} = {value}: {took:?}");
    let fault = match outcome {
        Ok(settings) => {
            if std::env::var_os("LYAPUNOV_MUTATIONS").is_some() {
                prepared(settings);
            }
            return false;
        }
        Err(fault) => fault,
    };
    let message = fault.to_string();
    // Other keys are named where two do not go together.
    assert!(message.contains(&format!("{section}.")), "{section}.{name} = {value}: {message}");
    let Error::Configuration(place) = &fault else { panic!("{section}.{name} = {value}: {message}") };
    if message.contains(&format!("`{section}.{name}`")) {
        let label = place.labels().and_then(|mut labels| labels.next()).unwrap_or_else(|| {
            panic!(
                "no place: \
            {message}"
            )
        });
        let line = fs::read_to_string(&path).unwrap()[..label.offset()].lines().count();
        assert_eq!(line, 4, "{section}.{name} = {value}: {message}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no run is started");
    true
}

/// What is valid by itself may still not fit its images; that makes no panic either.
fn prepared(mut settings: Settings) {
    // Where the files are not there, that is the fault.
    if let Ok((network, subject)) = setup::network(&settings) {
        let _ = settings.resolve(&subject).and_then(|()| setup::plan(&settings.config, &network).map(drop));
    }
}

#[test]
fn every_key_refuses_what_it_cannot_be_by_name_and_line() {
    let (mut tried, mut count) = (0, 0);
    for (section, name) in keys() {
        let here = VALUES.iter().filter(|value| refused(&section, &name, value)).count();
        assert!(here >= 5, "{section}.{name} takes nearly everything");
        tried += VALUES.len();
        count += here;
    }
    println!("{count} of {tried} configurations are refused");
    assert!(count >= 300, "{count}");
}

#[test]
fn every_key_is_missed_by_name_and_line_where_it_is_misspelt() {
    for (section, name) in keys() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.toml");
        fs::write(&path, format!("[{section}]\n{name}x = 1\n")).unwrap();
        let fault = Draft::default().read(&path).unwrap_err();
        assert!(fault.to_string().contains(&format!("unknown key `{section}.{name}x`")), "{fault}");
        let help = fault.help().map(|help| help.to_string()).unwrap_or_default();
        assert!(help.contains(&name), "{section}.{name}: {help}");
    }
}
