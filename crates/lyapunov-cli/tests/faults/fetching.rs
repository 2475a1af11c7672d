//! Downloads that are cut and killed, and archives that mean harm.

use std::{fs, io::Write, net::TcpStream, path::Path, process::Stdio, sync::Arc, thread, time::Duration};

use flate2::{Compression, write::GzEncoder};
use lyapunov::{Purpose, Stream};
use tar::{EntryType, Header};

use crate::{
    course::instant,
    server::{Server, fetch, hundred, md5, names, records, send, serve},
    times,
};

/// That nothing of the images is to be seen, or all.
fn nothing_partial(folder: &Path) -> bool {
    let images = folder.join("cifar100");
    if !images.exists() {
        return false;
    }
    assert_eq!(names(&images), ["SHA256SUMS", "test.bin", "train.bin"]);
    assert_eq!(fs::read(images.join("train.bin")).unwrap(), records(100, 1));
    assert_eq!(fs::read(images.join("test.bin")).unwrap(), records(20, 2));
    true
}

/// That the download has come to its end and left nothing else, here and outside.
fn arrived(outside: &Path) {
    let folder = outside.join("deep/data");
    assert!(nothing_partial(&folder));
    assert_eq!((names(&folder), names(outside)), (vec!["cifar100".to_owned()], vec!["deep".to_owned()]));
}

#[test]
fn downloads_that_are_cut_anywhere_go_on_to_the_whole() {
    let downloads = times(6, 100);
    let file = Arc::new(hundred(1));
    let sum = md5(&file);
    let mut stream = Stream::new(31, Purpose::Probe, 0);
    let (mut given_up, mut requests) = (0, 0);
    for _ in 0..downloads {
        let outside = tempfile::tempdir().unwrap();
        let folder = outside.path().join("deep/data");
        // One to three cuts, some of them before the first byte; then the server is good.
        let cuts: Vec<usize> =
            (0..=stream.below(3)).map(|_| stream.below(file.len() + 1) * stream.below(4) / 3).collect();
        let whole = Arc::clone(&file);
        let server = Server::start(move |request, stream| {
            let until = cuts.get(request.number).copied().unwrap_or(whole.len()).min(whole.len());
            serve(request, stream, &whole, "\"one\"", until);
        });
        while fetch(&folder, &sum, &[&server.address]).output().unwrap().status.code() != Some(0) {
            given_up += 1;
            assert!(given_up < 3 * downloads && !nothing_partial(&folder));
        }
        requests += server.requests().len();
        arrived(outside.path());
    }
    println!(
        "{downloads} downloads that were cut arrived, after {requests} requests and {given_up} calls that gave up"
    );
}

/// Serves slowly enough to be killed on the way.
fn slowly(request: &crate::server::Request, stream: &mut TcpStream, file: &[u8]) {
    let from = request.from.unwrap_or(0).min(file.len());
    let length = ("Content-Length", (file.len() - from).to_string());
    let range = ("Content-Range", format!("bytes {from}-{}/{}", file.len() - 1, file.len()));
    let tag = ("ETag", "\"one\"".to_owned());
    match from {
        0 => send(stream, "200 OK", &[tag, length], b""),
        _ => send(stream, "206 Partial Content", &[tag, length, range], b""),
    }
    for part in file[from..].chunks(8_000) {
        if stream.write_all(part).is_err() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn downloads_that_are_killed_at_any_instant_go_on_to_the_whole() {
    let kills = times(6, 50);
    let file = hundred(1);
    let sum = md5(&file);
    let server = Server::start(move |request, stream| slowly(request, stream, &file));
    let mut stream = Stream::new(32, Purpose::Probe, 0);
    let (mut killed, mut whole) = (0, 0);
    while killed < kills {
        let outside = tempfile::tempdir().unwrap();
        let folder = outside.path().join("deep/data");
        loop {
            let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin("lyapunov"))
                .args(["data", "fetch", "cifar100", "--quiet", "--md5", &sum, "--mirror", &server.address, "--dir"])
                .arg(&folder)
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            if killed < kills {
                thread::sleep(instant(&mut stream, 0.8));
                child.kill().unwrap();
            }
            let output = child.wait_with_output().unwrap();
            match output.status.code() {
                None => killed += 1,
                code => {
                    assert_eq!(code, Some(0), "{}", String::from_utf8_lossy(&output.stderr));
                    break;
                }
            }
            nothing_partial(&folder);
            assert!(names(outside.path()).iter().all(|name| name == "deep"));
        }
        arrived(outside.path());
        whole += 1;
    }
    println!("{killed} kills, {whole} downloads arrived");
}

/// An entry without the checks that a well-meaning writer makes.
fn entry(kind: EntryType, name: &str, link: &str, contents: &[u8]) -> Vec<u8> {
    let mut header = Header::new_ustar();
    let raw = header.as_ustar_mut().unwrap();
    raw.name[..name.len()].copy_from_slice(name.as_bytes());
    raw.linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(contents.len() as u64);
    header.set_cksum();
    let padding = contents.len().next_multiple_of(512) - contents.len();
    [header.as_bytes(), contents, &vec![0; padding]].concat()
}

fn packed(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&entries.concat()).unwrap();
    encoder.write_all(&[0; 1024]).unwrap();
    encoder.finish().unwrap()
}

/// Twenty archives that mean harm, each beside images that are as they should be, and what is said of it.
fn hostile() -> Vec<(&'static str, Vec<u8>)> {
    let (train, test) = (records(100, 1), records(20, 2));
    let plain = |name: &str, contents: &[u8]| entry(EntryType::Regular, name, "", contents);
    let good = [plain("cifar/train.bin", &train), plain("cifar/test.bin", &test)];
    let beside = |more: Vec<u8>| packed(&[good.as_slice(), &[more]].concat());
    let before = |more: Vec<u8>| packed(&[&[more], good.as_slice()].concat());
    let mut cases = Vec::new();
    for name in
        ["../escaped", "a/../../escaped", "/tmp/escaped-from-an-archive", "../../train.bin", "a/..", "..\\escaped"]
    {
        cases.push(("leads out of it", beside(plain(name, b"x"))));
    }
    for kind in [EntryType::Symlink, EntryType::Link, EntryType::Char, EntryType::Block, EntryType::Fifo] {
        cases.push(("no plain file", before(entry(kind, "train.bin", "../../../escaped", b""))));
    }
    // A folder that is a link, and a file that would go through it.
    let through = [entry(EntryType::Symlink, "cifar", "../..", b""), plain("cifar/escaped", b"x")].concat();
    cases.push(("no plain file", before(through)));
    cases.push(("train.bin twice", beside(plain("train.bin", &train))));
    cases.push(("lacks test.bin", packed(&good[..1])));
    let mut claim = Header::new_gnu();
    claim.set_path("train.bin").unwrap();
    claim.set_size(8 << 30);
    claim.set_cksum();
    cases.push(("claims to have", packed(&[claim.as_bytes().to_vec()])));
    let whole = packed(&good);
    cases.push(("truncated", whole[..whole.len() / 2].to_vec()));
    cases.push(("bytes after its end", [whole.clone(), b"more".to_vec()].concat()));
    cases.push(("goes on after its end", packed(&[good.as_slice(), &[vec![0; 1024], b"more".to_vec()]].concat())));
    let wrong = [vec![20], train[1..].to_vec()].concat();
    cases.push(("coarse label 20", packed(&[plain("train.bin", &wrong), plain("test.bin", &test)])));
    cases.push(("unpacks to more than", bomb(&good.concat())));
    cases
}

/// Three hundred million zeros in three hundred thousand bytes.
fn bomb(good: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(good).unwrap();
    for _ in 0..300 {
        encoder.write_all(&vec![0; 1 << 20]).unwrap();
    }
    encoder.finish().unwrap()
}

#[test]
fn twenty_archives_that_mean_harm_leave_nothing() {
    let cases = hostile();
    assert_eq!(cases.len(), 20);
    for (number, (reason, file)) in cases.into_iter().enumerate() {
        let outside = tempfile::tempdir().unwrap();
        let folder = outside.path().join("deep/data");
        let server = Server::good(file.clone());
        let output = fetch(&folder, &md5(&file), &[&server.address]).output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{number}, {reason}: {message}");
        assert!(message.contains(reason), "{number}, {reason}: {message}");
        assert!(names(&folder).is_empty(), "{number}, {reason}: {:?}", names(&folder));
        assert_eq!(
            (names(outside.path()), names(&outside.path().join("deep"))),
            (vec!["deep".into()], vec!["data".into()])
        );
        assert!(!Path::new("/tmp/escaped-from-an-archive").exists());
    }
    println!("20 archives refused, nothing left");
}
