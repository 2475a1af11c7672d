//! The book and the readme against the program: commands are parsed, shown output is made again, links lead somewhere.
//!
//! `UPDATE=1 cargo test -p lyapunov-cli --test program book` writes the reference of the command line anew.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The folder of the book's pages.
fn book() -> PathBuf {
    root().join("docs/book/src")
}

/// Every Markdown file below `folder`.
fn pages_below(folder: &Path) -> Vec<PathBuf> {
    let mut pages = Vec::new();
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() && !path.ends_with("target") {
            pages.extend(pages_below(&path));
        } else if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
    pages.sort();
    pages
}

/// Every Markdown file of the repository.
fn all_pages() -> Vec<PathBuf> {
    let root = root();
    let top = fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<_> = top.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect();
    for folder in ["bench", "crates", "docs", "examples", "fuzz", "suites"] {
        pages.extend(pages_below(&root.join(folder)));
    }
    pages
}

/// The pages whose commands are those of the program.
fn pages_with_commands() -> Vec<PathBuf> {
    let readmes = [root().join("README.md"), root().join("crates/lyapunov-python/README.md")];
    pages_below(&book()).into_iter().chain(readmes).collect()
}

/// The fenced blocks of a page, in order: what stands behind the fence, and what is in it.
fn blocks(text: &str) -> Vec<(String, String)> {
    let (mut blocks, mut lines) = (Vec::new(), text.lines());
    while let Some(line) = lines.next() {
        if let Some(info) = line.trim_start().strip_prefix("```") {
            let inside: Vec<&str> = lines.by_ref().take_while(|line| line.trim() != "```").collect();
            blocks.push((info.trim().to_owned(), inside.join("\n")));
        }
    }
    blocks
}

/// The command lines of the program in a block for a shell, each without its first word.
///
/// Of the shell's language this knows words, comments, variables that a line sets, pipes, and what stands behind `>`.
fn commands(block: &str) -> Vec<Vec<String>> {
    let (mut found, mut variables) = (Vec::new(), BTreeMap::<String, String>::new());
    for line in block.replace("\\\n", " ").lines() {
        let mut line = line.trim().to_owned();
        for (name, value) in &variables {
            line = line.replace(&format!("${name}"), value);
        }
        let words = shlex::split(&line).unwrap_or_else(|| panic!("`{line}` is not closed"));
        if let [word] = &words[..]
            && let Some((name, value)) = word.split_once('=').filter(|_| !word.starts_with('-'))
        {
            variables.insert(name.to_owned(), value.to_owned());
            continue;
        }
        for command in words.split(|word| ["|", "||", "&", "&&", ";", "do", "then"].contains(&word.as_str())) {
            let command: Vec<&str> = command.iter().take_while(|word| *word != ">").map(String::as_str).collect();
            let arguments = match &command[..] {
                ["python", "-m", "lyapunov", arguments @ ..] => arguments,
                [program, arguments @ ..] if program.rsplit('/').next() == Some("lyapunov") => arguments,
                _ => continue,
            };
            found.push(arguments.iter().map(|&word| word.to_owned()).collect());
        }
    }
    found
}

/// The text with every number, every identity of a run and every width of a column left out.
fn masked(text: &str) -> Vec<String> {
    let word = |word: &str| {
        let parts = word.split_inclusive(['-', '/', ':']);
        let part = |part: &str| {
            let bare = part.trim_end_matches(['-', '/', ':', ',', '.', ')']);
            let is_identity = bare.len() == 8 && bare.chars().all(|c| c.is_ascii_hexdigit());
            if is_identity { part.replace(bare, "#") } else { part.to_owned() }
        };
        let mut out = String::new();
        for character in parts.map(part).collect::<String>().chars() {
            let number = character.is_ascii_digit() || (out.ends_with('#') && ".,".contains(character));
            match (number, out.ends_with('#')) {
                (true, true) => {}
                (true, false) => out.push('#'),
                (false, _) => out.push(character),
            }
        }
        // The sign and the exponent of a number.
        out.replace("#e-#", "#").replace('−', "-").replace("-#", "#")
    };
    let line = |line: &str| line.split_whitespace().filter(|word| *word != "million").map(word).collect::<Vec<_>>();
    text.trim_end().lines().map(|text| line(text).join(" ")).collect()
}

/// The name of a heading in a link.
fn anchor(heading: &str) -> String {
    let keep = |c: char| match c {
        c if c.is_alphanumeric() || c == '_' || c == '-' => Some(c.to_lowercase().collect::<String>()),
        c if c.is_whitespace() => Some("-".to_owned()),
        _ => None,
    };
    heading.trim().chars().filter_map(keep).collect()
}

/// The lines of a page that are no code, without what stands between backticks in them.
fn prose(text: &str) -> Vec<String> {
    let (mut lines, mut inside) = (Vec::new(), false);
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if !inside {
            let parts = line.split('`').enumerate().filter(|(at, _)| at % 2 == 0);
            lines.push(parts.map(|(_, part)| part).collect::<Vec<_>>().join(""));
        }
    }
    lines
}

/// Where the links and pictures of a page lead.
fn links(text: &str) -> Vec<String> {
    let prose = prose(text).join("\n");
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split([')', ' ', '\n']).next());
    targets.map(str::to_owned).collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    let mut inside = false;
    let headings = text.lines().filter(move |line| {
        inside ^= line.starts_with("```");
        !inside && line.starts_with('#')
    });
    headings.map(|line| anchor(line.trim_start_matches('#'))).collect()
}

#[test]
fn every_command_of_the_book_is_one_of_the_program() {
    let mut count = 0;
    for page in pages_with_commands() {
        let text = fs::read_to_string(&page).unwrap();
        for (_, block) in blocks(&text).iter().filter(|(info, _)| info == "sh" || info == "sh,run") {
            for arguments in commands(block) {
                count += 1;
                let line = std::iter::once("lyapunov".to_owned()).chain(arguments);
                if let Err(refusal) = lyapunov_cli::program().try_get_matches_from(line) {
                    assert!(!refusal.use_stderr(), "{}: {refusal}", page.display());
                }
            }
        }
    }
    assert!(count > 60, "{count} commands were found");
}

#[test]
#[cfg(unix)]
fn what_the_book_shows_is_what_the_program_prints() {
    let program = assert_cmd::cargo::cargo_bin("lyapunov");
    let path = env::join_paths(
        std::iter::once(program.parent().unwrap().to_owned()).chain(env::split_paths(&env::var_os("PATH").unwrap())),
    );
    let path = path.unwrap();
    let mut count = 0;
    for page in pages_with_commands() {
        let (folder, blocks) = (tempfile::tempdir().unwrap(), blocks(&fs::read_to_string(&page).unwrap()));
        for (at, (_, block)) in blocks.iter().enumerate().filter(|(_, (info, _))| info == "sh,run") {
            let mut shell = Command::new("sh");
            shell.args(["-ec", block]).current_dir(folder.path()).env("PATH", &path).env("COLUMNS", "100");
            let output = shell.env_remove("BURN_DEVICE").output().unwrap();
            let (printed, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(output.status.success(), "{}: {block}\n{error}", page.display());
            let shown = blocks.get(at + 1).filter(|(info, _)| info == "text");
            let (_, shown) = shown.unwrap_or_else(|| panic!("{}: no text block after\n{block}", page.display()));
            assert_eq!(masked(&printed), masked(shown), "{}:\n{block}\n{printed}", page.display());
            count += 1;
        }
    }
    assert!(count > 5, "{count} blocks were run");
}

#[test]
fn the_reference_of_the_command_line_is_what_the_program_says() {
    fn chapter(command: &clap::Command, level: usize, page: &mut String) {
        let name = command.get_bin_name().unwrap_or(command.get_name()).to_owned();
        let help = command.clone().term_width(100).render_long_help().to_string();
        let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
        let (marks, help) = ("#".repeat(level), lines.join("\n"));
        page.extend(["\n", &marks, " ", &name, "\n\n```text\n", help.trim_end(), "\n```\n"]);
        let parts = command.get_subcommands().filter(|part| !part.is_hide_set() && part.get_name() != "help");
        parts.for_each(|part| chapter(part, 3.min(level + 1), page));
    }
    let mut program = lyapunov_cli::program();
    program.build();
    let mut page =
        "# The command line\n\nThis page is what the program says of itself, by `lyapunov COMMAND --help`; a \
                    test compares the two.\n\
                    `lyapunov man` prints the same as manual pages, `lyapunov completions` what a shell needs.\n\n\
                    Exit codes: 0 a result, also where a run diverged; 1 a fault; 2 a command or a configuration that \
                    means nothing;\n75 a run that another process is at; 128 + n where signal n ended it.\n\n\
                    Variables: `BURN_DEVICE` is `--device`; `NO_COLOR` leaves the colours out of messages; \
                    `LYAPUNOV_JOURNAL`\n(`wal` or `rollback`) is the journal of the database of a run.\n"
            .to_owned();
    chapter(&program, 2, &mut page);
    let path = book().join("reference/command-line.md");
    if env::var_os("UPDATE").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let stored = fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
    let differs = stored.lines().zip(page.lines()).find(|(stored, page)| stored != page);
    assert!(stored == page, "{} is not up to date (UPDATE=1 writes it): {differs:?}", path.display());
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let (book, mut count, mut broken) = (book(), 0, Vec::new());
    for page in all_pages() {
        let text = fs::read_to_string(&page).unwrap();
        let names = |link: &String| !link.contains("://") && !link.starts_with("mailto:");
        for link in links(&text).into_iter().filter(names) {
            count += 1;
            let (file, heading) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            let there = || heading.is_empty() || anchors(&fs::read_to_string(&target).unwrap()).contains(heading);
            // A page of the book becomes HTML in a folder of its own: what is outside the book is not there.
            let inside =
                || !page.starts_with(&book) || target.parent().unwrap().canonicalize().unwrap().starts_with(&book);
            if !(target.exists() && there() && inside()) {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "broken links:\n{}", broken.join("\n"));
    assert!(count > 60, "{count} links were found");
}

#[test]
fn every_page_stands_in_the_table_of_contents() {
    let (book, summary) = (book(), fs::read_to_string(book().join("SUMMARY.md")).unwrap());
    let listed: BTreeSet<PathBuf> = links(&summary).iter().map(|link| book.join(link)).collect();
    let pages: BTreeSet<PathBuf> =
        pages_below(&book).into_iter().filter(|page| !page.ends_with("SUMMARY.md")).collect();
    assert_eq!(listed, pages);
}

#[test]
fn commands_and_masks_are_what_they_should_be() {
    let block =
        "flags=\"--data DIR\"\nlyapunov train $flags \\\n  --json | jq .x   # why\npython -m lyapunov list > x\nls";
    assert_eq!(commands(block), [vec!["train", "--data", "DIR", "--json"], vec!["list"]]);
    assert_eq!(masked("a-0123abcd   ± 3.6e-6,  1,234 steps\n"), masked("a-fedcba98 ± 2.1, 17 steps"));
    assert_ne!(masked("settled"), masked("not settled"));
    assert_eq!(anchor(" λ_max of my ResNet is 1,500, is that a bug?"), "λ_max-of-my-resnet-is-1500-is-that-a-bug");
}
