//! One file from the first of several addresses that has it: resumed where it was cut, believed only by its checksum.
//!
//! This is the only place of the program that opens a connection. What has arrived stays in a hidden file until it is
//! used, with a note of where it came from, so that the next call goes on there, even after this one was killed. A
//! server may cut, stall, lie about the length, ignore the range it is asked for, or have another file by now: none of
//! it ends up in the result, since the checksum of all bytes decides.

mod origin;
mod trouble;

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use ureq::{
    Agent, Body,
    http::{Response, StatusCode},
};

use self::{
    origin::{Origin, validator},
    trouble::{Trouble, check_archive},
};
use super::{digest::md5_of, meter::Meter};
use crate::error::{Error, Result};

/// Most bytes that an archive may have; the largest published one has 170 million.
const MOST_BYTES: u64 = 256 << 20;

/// How often one address is asked again after a connection that brought something and ended too early.
const MOST_TRIES: usize = 50;

/// A file on its way.
pub struct Download {
    agent: Agent,
    path: PathBuf,
    file: File,
    origin: Origin,
    meter: Meter,
}

impl Download {
    /// Begins, or goes on with what an earlier call left at `path`. An address that says nothing for as long as
    /// `patience` is given up.
    pub fn begin(path: PathBuf, patience: Duration, meter: Meter) -> Result<Self> {
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = opened.map_err(|cause| unwritable(&path, cause))?;
        file.seek(SeekFrom::End(0)).map_err(|cause| unwritable(&path, cause))?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                let message = format!("another download is writing to {}", path.display());
                return Err(Error::usage(message, Some("wait for it, or end it".to_owned())));
            }
            // Where files cannot be locked, two downloads at once spoil each other, and the checksum shows it.
            Err(TryLockError::Error(_)) | Ok(()) => {}
        }
        let note = fs::read(note_of(&path)).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let configuration = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(patience))
            .timeout_recv_response(Some(patience))
            .timeout_per_read(Some(patience))
            .user_agent(concat!("lyapunov/", env!("CARGO_PKG_VERSION")));
        let agent = configuration.build().into();
        Ok(Self { agent, path, file, origin: note.unwrap_or_default(), meter })
    }

    /// Where the bytes are.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Downloads until the MD5 of all bytes is this one; the addresses are tried in turn.
    pub fn fetch(&mut self, urls: &[String], md5: &str) -> Result<()> {
        let mut reasons = Vec::new();
        if self.length()? > 0 && self.md5()? == md5 {
            return Ok(());
        }
        for url in urls {
            self.meter.say(&format!("Downloading {url}"));
            match self.fetch_from(url, md5) {
                Ok(()) => {
                    self.meter.finish();
                    return Ok(());
                }
                Err(Trouble::Ours(fault)) => return Err(fault),
                Err(Trouble::Cut(reason) | Trouble::Refused(reason)) => {
                    reasons.push(format!("{url} {reason}"));
                    if reasons.len() < urls.len() {
                        self.meter.say(&format!("{url} {reason}"));
                    }
                }
            }
        }
        self.meter.finish();
        Err(Error::Download { message: reasons.join("\n"), help: None })
    }

    /// Whether nothing has arrived.
    pub fn is_empty(&self) -> bool {
        self.length().is_ok_and(|length| length == 0)
    }

    /// Removes what was downloaded.
    pub fn discard(self) -> Result<()> {
        let failed = |cause| Error::io("remove", &self.path, cause);
        fs::remove_file(&self.path).map_err(failed)?;
        match fs::remove_file(note_of(&self.path)) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(failed(cause)),
            _ => Ok(()),
        }
    }

    fn fetch_from(&mut self, url: &str, md5: &str) -> std::result::Result<(), Trouble> {
        let mut trouble = Trouble::Refused("was not asked".to_owned());
        for _ in 0..MOST_TRIES {
            let before = self.length()?;
            let outcome = self.ask(url, before);
            let (now, found) = (self.length()?, self.md5()?);
            if found == md5 {
                return Ok(());
            }
            trouble = match outcome {
                Ok(()) => {
                    self.restart(Origin::default())?;
                    Trouble::Refused(format!("gives {now} bytes with the MD5 {found}, not {md5}"))
                }
                Err(trouble) => trouble,
            };
            // What was put together from parts may be whole from one piece; what was cut may go on.
            let again = match &trouble {
                Trouble::Cut(_) => now > before,
                Trouble::Refused(_) => made_of_parts(before, now),
                Trouble::Ours(_) => false,
            };
            if !again {
                break;
            }
        }
        Err(trouble)
    }

    /// Asks an address for what is missing, and appends what comes.
    fn ask(&mut self, url: &str, here: u64) -> std::result::Result<(), Trouble> {
        let mut request = self.agent.get(url).header("Accept-Encoding", "identity");
        if here > 0 {
            request = request.header("Range", format!("bytes={here}-"));
            if let (true, Some(validator)) = (self.origin.url == url, &self.origin.validator) {
                request = request.header("If-Range", validator);
            }
        }
        let response = request.call().map_err(|fault| Trouble::of(&fault))?;
        let (status, headers) = (response.status(), response.headers());
        let origin = match status {
            StatusCode::PARTIAL_CONTENT if here > 0 && self.origin.continues(url, here, headers) => None,
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE if here > 0 => {
                self.restart(Origin::default())?;
                return self.ask(url, 0);
            }
            StatusCode::OK => {
                let length = response.body().content_length();
                Some(Origin { url: url.to_owned(), validator: validator(headers), length })
            }
            _ => return Err(Trouble::Refused(format!("answers {status}"))),
        };
        self.receive(response, origin)
    }

    /// Appends what comes; where it is the file from its beginning, the bytes that are here give way to it.
    fn receive(&mut self, response: Response<Body>, origin: Option<Origin>) -> std::result::Result<(), Trouble> {
        let mut body = response.into_body().into_reader();
        let mut buffer = vec![0; 1 << 16];
        if let Some(origin) = origin {
            let start = first_bytes(&mut body, &mut buffer)?;
            check_archive(&buffer[..start])?;
            self.restart(origin)?;
            self.append(&buffer[..start])?;
        }
        let (mut here, all) = (self.length()?, self.origin.length);
        if all.is_some_and(|length| length > MOST_BYTES) {
            return Err(Trouble::Refused(format!("promises more than {MOST_BYTES} bytes")));
        }
        loop {
            self.meter.show(here, all);
            let n = body.read(&mut buffer).map_err(|cause| Trouble::cut(&cause))?;
            self.append(&buffer[..n])?;
            here += n as u64;
            if here > MOST_BYTES {
                self.restart(Origin::default())?;
                return Err(Trouble::Refused(format!("gives more than {MOST_BYTES} bytes")));
            }
            match all {
                _ if n > 0 => {}
                Some(all) if here < all => return Err(Trouble::Cut(format!("ends after {here} of {all} bytes"))),
                _ => return Ok(()),
            }
        }
    }

    /// Forgets the bytes that are here, in favour of those from another origin.
    fn restart(&mut self, origin: Origin) -> Result<()> {
        let failed = |cause| unwritable(&self.path, cause);
        self.file.set_len(0).map_err(failed)?;
        self.file.seek(SeekFrom::Start(0)).map_err(failed)?;
        self.origin = origin;
        let note = serde_json::to_vec(&self.origin).expect("texts and numbers have a JSON form");
        // In its place: a note by half is no note, and the download begins again. A file beside it would outlive a
        // kill.
        let path = note_of(&self.path);
        fs::write(&path, note).map_err(|cause| unwritable(&path, cause))
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|cause| unwritable(&self.path, cause))
    }

    fn length(&self) -> Result<u64> {
        let metadata = self.file.metadata().map_err(|cause| Error::io("read", &self.path, cause))?;
        Ok(metadata.len())
    }

    fn md5(&self) -> Result<String> {
        md5_of(&self.path).map_err(|cause| Error::io("read", &self.path, cause))
    }
}

/// Whether bytes that do not make the file were put together from several answers.
fn made_of_parts(before: u64, now: u64) -> bool {
    before > 0 && now > before
}

/// Reads until there are enough bytes to recognise an archive.
fn first_bytes(body: &mut impl Read, buffer: &mut [u8]) -> std::result::Result<usize, Trouble> {
    let mut here = 0;
    while here < 64 {
        match body.read(&mut buffer[here..]).map_err(|cause| Trouble::cut(&cause))? {
            0 => break,
            n => here += n,
        }
    }
    Ok(here)
}

fn note_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".json");
    name.into()
}

const ROOM: &str = "a download needs about 370 MB of room; what has arrived is kept, and the same command goes on \
    from there. \
                    `--dir DIR` names another folder";

/// The fault of a file that cannot be written.
pub fn unwritable(path: &Path, source: io::Error) -> Error {
    Error::Io { action: "write", path: path.to_owned(), source, help: Some(ROOM.to_owned()) }
}
