//! `lyapunov data fetch`: downloads a published set of images.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{at_least, print};
use crate::{
    data::{
        Source,
        download::{Download, unwritable},
        meter::Meter,
        published::Published,
        unpack::unpack,
    },
    error::{Error, Result},
};
use clap::Args;

/// What to download, and from where.
#[derive(Args, Debug)]
pub struct FetchArguments {
    /// The set
    #[arg(value_enum)]
    pub set: Published,
    /// The folder that receives the folder of the set
    #[arg(long, value_name = "DIR", default_value = "data")]
    pub dir: PathBuf,
    /// Download from this address instead of the authors'; may be repeated, to be tried in turn
    #[arg(long, value_name = "URL")]
    pub mirror: Vec<String>,
    /// Expect this MD5 instead of the published one, for an archive of your own
    #[arg(long, value_name = "HEX", value_parser = md5)]
    pub md5: Option<String>,
    /// Time to wait before trying the next address
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = at_least(1))]
    pub timeout: u64,
    /// Show no progress and no summary
    #[arg(long, short)]
    pub quiet: bool,
}

/// Downloads, checks and unpacks a set; what is there already and can be read stays as it is.
pub fn execute(arguments: &FetchArguments) -> Result<()> {
    let FetchArguments { set, dir, quiet, .. } = arguments;
    let target = dir.join(set.layout().name());
    let message = if occupied(&target) { already_there(arguments, &target)? } else { fetch(arguments, &target)? };
    let next = format!("{message}\nTrain on them: lyapunov train --data {}\n", target.display());
    if *quiet { Ok(()) } else { print(next.as_bytes()) }
}

fn occupied(folder: &Path) -> bool {
    folder.exists() && !fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

/// What to say of a folder that is there.
fn already_there(arguments: &FetchArguments, target: &Path) -> Result<String> {
    match Source::Folder(target.to_owned()).read(arguments.set.layout()) {
        Ok(images) => {
            // A call that was killed at its very end leaves the archive.
            if part(arguments).exists() {
                begin(arguments)?.discard()?;
            }
            let (train, test) = (images.train.len(), images.test.len());
            Ok(format!("{} is there already, with {train} training images and {test} test images.", target.display()))
        }
        Err(fault) => {
            let message =
                format!("{} is there already, but cannot be read as a set of images: {fault}", target.display());
            let help = "move it away, or name another folder by `--dir DIR`: nothing is overwritten".to_owned();
            Err(Error::usage(message, Some(help)))
        }
    }
}

/// Where the bytes of the archive are until they are unpacked.
fn part(arguments: &FetchArguments) -> PathBuf {
    arguments.dir.join(format!(".{}.part", arguments.set.archive()))
}

fn begin(arguments: &FetchArguments) -> Result<Download> {
    Download::begin(part(arguments), Duration::from_secs(arguments.timeout), Meter::new(arguments.quiet))
}

fn fetch(arguments: &FetchArguments, target: &Path) -> Result<String> {
    let FetchArguments { set, dir, mirror, md5, .. } = arguments;
    fs::create_dir_all(dir).map_err(|cause| unwritable(dir, cause))?;
    let mut download = begin(arguments)?;
    let urls = if mirror.is_empty() { vec![set.url()] } else { mirror.iter().map(|url| address(url, *set)).collect() };
    let md5 = md5.as_deref().unwrap_or(set.md5());
    if let Err(fault) = download.fetch(&urls, md5) {
        let empty = download.is_empty();
        if empty {
            download.discard()?;
        }
        return Err(with_way_out(fault, *set, md5, !empty));
    }
    let folder = set.layout().name();
    match unpack(download.path(), set.layout(), &dir.join(format!(".{folder}.unpacking")), target) {
        Ok((images, sha256)) => {
            download.discard()?;
            let (train, test, place) = (images.train.len(), images.test.len(), target.display());
            Ok(format!(
                "Wrote {train} training images and {test} test images to {place}\n\
                 MD5 of the archive, as expected: {md5}\n\
                 SHA-256 of labels and pixels, written down in SHA256SUMS: {sha256}"
            ))
        }
        // The archive is good: the next call begins with it.
        Err(lyapunov_burn::Error::Io { path, source }) => Err(unwritable(&path, source)),
        Err(fault) => {
            let text = fault.to_string().replace(&download.path().display().to_string(), set.archive());
            download.discard()?;
            Err(Error::Download { message: text, help: Some("no part of it has been kept".to_owned()) })
        }
    }
}

/// An address that ends in a slash is a folder with the archive in it.
fn address(url: &str, set: Published) -> String {
    if url.ends_with('/') { format!("{url}{}", set.archive()) } else { url.to_owned() }
}

/// Says what to do without a network.
fn with_way_out(fault: Error, set: Published, md5: &str, kept: bool) -> Error {
    let Error::Download { message, .. } = fault else { return fault };
    let archive = set.archive();
    let kept = if kept { "what has arrived is kept, and the same command goes on from there; " } else { "" };
    let help = format!(
        "{kept}`--mirror URL` names another address; or download {archive} (MD5 {md5}) by other means and use it as it \
         is: `lyapunov train --data {archive}`"
    );
    Error::Download { message: format!("no address gave {archive}:\n{message}"), help: Some(help) }
}

/// An MD5 as it may be typed, in small letters.
fn md5(text: &str) -> std::result::Result<String, String> {
    let digits = text.len() == 32 && text.chars().all(|digit| digit.is_ascii_hexdigit());
    if digits { Ok(text.to_ascii_lowercase()) } else { Err("an MD5 has 32 hexadecimal digits".to_owned()) }
}
