//! A server that does whatever a test wants of it, and archives for it to serve.

#![allow(dead_code, reason = "each test file uses its part")]

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use assert_cmd::Command;
use flate2::{Compression, write::GzEncoder};
use md5::{Digest, Md5};
use tar::{Builder, Header};

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The first byte of the range that is asked for.
    pub from: Option<usize>,
    pub if_range: Option<String>,
    /// How many requests there were before.
    pub number: usize,
}

/// A server on a port of its own, for the rest of the test.
pub struct Server {
    pub address: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Answers every request by `answer`, then closes the connection.
    pub fn start(answer: impl Fn(&Request, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/images.tar.gz", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (Arc::clone(&requests), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, seen, answer) = (stream.unwrap(), Arc::clone(&seen), Arc::clone(&answer));
                thread::spawn(move || {
                    let mut request = read(&stream);
                    let mut all = seen.lock().unwrap();
                    request.number = all.len();
                    all.push(request.clone());
                    drop(all);
                    answer(&request, &mut stream);
                });
            }
        });
        Self { address, requests }
    }

    /// Serves `bytes` as a good server does.
    pub fn good(bytes: Vec<u8>) -> Self {
        Self::start(move |request, stream| serve(request, stream, &bytes, "\"one\"", bytes.len()))
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// The first bytes that were asked for, request after request.
    pub fn ranges(&self) -> Vec<Option<usize>> {
        self.requests().iter().map(|request| request.from).collect()
    }
}

fn read(stream: &TcpStream) -> Request {
    let mut request = Request::default();
    for line in BufReader::new(stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ").unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "range" => {
                let range = value.strip_prefix("bytes=").and_then(|range| range.strip_suffix('-'));
                request.from = range.and_then(|from| from.parse().ok());
            }
            "if-range" => request.if_range = Some(value.to_owned()),
            _ => {}
        }
    }
    request
}

/// A status, headers and bytes. Whoever is asked may have gone away.
pub fn send(stream: &mut TcpStream, status: &str, headers: &[(&str, String)], bytes: &[u8]) {
    let lines = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect::<Vec<_>>().concat();
    let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n{lines}\r\n");
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(bytes)).and_then(|()| stream.flush());
}

/// The whole file, or the part that is asked for where the file is still the same; the connection ends at byte `until`.
pub fn serve(request: &Request, stream: &mut TcpStream, file: &[u8], tag: &str, until: usize) {
    let same = request.if_range.as_deref().is_none_or(|asked| asked == tag);
    let mut headers = vec![("ETag", tag.to_owned())];
    match request.from.filter(|_| same) {
        Some(from) if from >= file.len() => send(stream, "416 Range Not Satisfiable", &[], b""),
        Some(from) => {
            headers.push(("Content-Range", format!("bytes {from}-{}/{}", file.len() - 1, file.len())));
            headers.push(("Content-Length", (file.len() - from).to_string()));
            send(stream, "206 Partial Content", &headers, &file[from..until.max(from)]);
        }
        None => {
            headers.push(("Content-Length", file.len().to_string()));
            send(stream, "200 OK", &headers, &file[..until]);
        }
    }
}

/// Says nothing for a while, and keeps the connection open.
pub fn sleep(seconds: u64) {
    thread::sleep(Duration::from_secs(seconds));
}

/// Records of CIFAR-100 that do not compress: labels (i mod 20, i mod 100), pixels at random.
pub fn records(count: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut pixel = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..count)
        .flat_map(|i| [vec![(i % 20) as u8, (i % 100) as u8], (0..3072).map(|_| pixel()).collect()].concat())
        .collect()
}

/// A .tar.gz of these files.
pub fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, contents) in files {
        let mut header = Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_mode(0o644);
        header.set_size(contents.len() as u64);
        header.set_cksum();
        builder.append(&header, *contents).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

/// An archive like that of CIFAR-100, of 100 training images and 20 test images.
pub fn hundred(seed: u64) -> Vec<u8> {
    archive(&[
        ("cifar-100-binary/train.bin", &records(100, seed)),
        ("cifar-100-binary/test.bin", &records(20, seed + 1)),
    ])
}

pub fn md5(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

pub fn program() -> Command {
    let mut command = Command::cargo_bin("lyapunov").unwrap();
    command.env_remove("BURN_DEVICE").env_remove("NO_COLOR");
    for proxy in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(proxy);
    }
    command
}

/// `data fetch cifar100` into `folder`, from these addresses.
pub fn fetch(folder: &Path, md5: &str, addresses: &[&str]) -> Command {
    let mut command = program();
    command.args(["data", "fetch", "cifar100", "--timeout", "1", "--md5", md5, "--dir"]).arg(folder);
    for address in addresses {
        command.args(["--mirror", address]);
    }
    command
}

/// Everything in a folder, by name.
pub fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The same, started by these words.
pub fn program_from(words: &[&str], folder: &Path, md5: &str, address: &str) -> std::process::Output {
    let program = assert_cmd::cargo::cargo_bin("lyapunov");
    let mut command = std::process::Command::new(words[0]);
    command
        .args(&words[1..])
        .arg(program)
        .args(["data", "fetch", "cifar100", "--md5", md5, "--mirror", address, "--dir"]);
    command.arg(folder).output().unwrap()
}
