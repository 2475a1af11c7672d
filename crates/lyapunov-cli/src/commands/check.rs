//! `lyapunov data check`: what is in a folder or an archive of images, and whether it can be used.

use std::fmt::Write;

use lyapunov_burn::{ImageFile, Images, Layout};
use serde::Serialize;

use super::print;
use crate::{
    data::{
        Files, Source,
        digest::{Fingerprint, md5_of, recorded, sha256},
        published::Published,
    },
    error::{Error, Result},
    text::number,
};
use clap::Args;
use std::path::PathBuf;

/// What to look at.
#[derive(Args, Debug)]
pub struct CheckArguments {
    /// A folder of images, or a .tar.gz archive
    #[arg(value_name = "DIR|ARCHIVE")]
    pub path: PathBuf,
    /// Print one JSON object, and nothing else, on standard output
    #[arg(long)]
    pub json: bool,
}

/// What was found.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Report {
    /// The folder or archive.
    path: String,
    /// The set that its files belong to, by their names.
    set: Option<&'static str>,
    /// `complete`, `readable` (another number of images than the published set has) or `faulty`.
    verdict: &'static str,
    /// What is wrong.
    faults: Vec<String>,
    files: Vec<FileReport>,
    training_images: usize,
    test_images: usize,
    /// How many training images there are of each class.
    training_labels: Vec<usize>,
    test_labels: Vec<usize>,
    /// The fingerprint of labels and pixels.
    sha256: Option<String>,
    /// The fingerprint that was written down when they were fetched.
    recorded_sha256: Option<String>,
    /// Of an archive.
    md5: Option<String>,
    /// Whether this is the MD5 of the published archive.
    published_md5: Option<bool>,
}

/// One file.
#[derive(Debug, PartialEq, Serialize)]
struct FileReport {
    name: String,
    bytes: usize,
    images: Option<usize>,
    sha256: String,
}

/// Looks at images, and fails where they cannot be used.
pub fn execute(arguments: &CheckArguments) -> Result<()> {
    let path = &arguments.path;
    if !path.exists() {
        return Err(lyapunov_burn::Error::Io { path: path.clone(), source: std::io::ErrorKind::NotFound.into() }.into());
    }
    let report = Report::of(&Source::at(path))?;
    let text = if arguments.json { report.to_json() } else { report.to_text() };
    print(text.as_bytes())?;
    if report.verdict == "faulty" { Err(Error::Images(path.clone())) } else { Ok(()) }
}

impl Report {
    fn of(source: &Source) -> Result<Self> {
        let mut report = Self { path: source.path().display().to_string(), ..Self::default() };
        let layout = source.layout();
        report.set = layout.map(Layout::name);
        if let Source::Archive(path) = source {
            let md5 = md5_of(path).map_err(|cause| Error::io("read", path, cause))?;
            let published = [Published::Cifar10, Published::Cifar100].into_iter();
            report.published_md5 = layout
                .and_then(|layout| published.clone().find(|set| set.layout() == layout).map(|set| set.md5() == md5));
            report.md5 = Some(md5);
        }
        // Without any of the expected files, the most usual set is missed.
        match source.open(layout.unwrap_or(Layout::Cifar10)) {
            Ok(mut files) => report.look_at(layout.unwrap_or(Layout::Cifar10), &mut files),
            Err(fault) => report.faults.push(fault.to_string()),
        }
        report.compare(source);
        report.verdict = report.judge(layout);
        Ok(report)
    }

    fn look_at(&mut self, layout: Layout, files: &mut Files) {
        let mut whole = Fingerprint::default();
        self.training_labels = self.count(layout, layout.training_files(), files, &mut whole);
        self.test_labels = self.count(layout, layout.test_files(), files, &mut whole);
        self.training_images = self.training_labels.iter().sum();
        self.test_images = self.test_labels.iter().sum();
        self.sha256 = self.faults.is_empty().then(|| whole.digits());
    }

    /// How many images of each class there are in the files of these names.
    fn count(&mut self, layout: Layout, names: &[&str], files: &mut Files, whole: &mut Fingerprint) -> Vec<usize> {
        // Images and labels of MNIST are in two files.
        let together = if matches!(layout, Layout::Mnist | Layout::FashionMnist) { names.len() } else { 1 };
        let mut labels = vec![0; layout.classes()];
        for names in names.chunks(together) {
            let found: Vec<_> = names.iter().filter_map(|name| self.take(name, files)).collect();
            if found.len() < names.len() {
                continue;
            }
            for file in &found {
                whole.add(&file.bytes);
            }
            let images = layout.parse(&found).map_err(|fault| self.faults.push(fault.to_string())).ok();
            self.files.extend(names.iter().zip(&found).map(|(name, file)| FileReport {
                name: (*name).to_owned(),
                bytes: file.bytes.len(),
                images: images.as_ref().map(Images::len),
                sha256: sha256(&file.bytes),
            }));
            for label in images.iter().flat_map(Images::labels) {
                labels[usize::from(*label)] += 1;
            }
        }
        labels
    }

    fn take(&mut self, name: &str, files: &mut Files) -> Option<ImageFile> {
        files.take(name).map_err(|fault| self.faults.push(fault.to_string())).ok()
    }

    /// Compares with the fingerprint that was written down.
    fn compare(&mut self, source: &Source) {
        self.recorded_sha256 = recorded(source.path());
        if let (Some(now), Some(then)) = (&self.sha256, &self.recorded_sha256)
            && now != then
        {
            let message = "the images are not those that were fetched: another SHA-256 is written down in SHA256SUMS";
            self.faults.push(message.to_owned());
        }
    }

    fn judge(&self, layout: Option<Layout>) -> &'static str {
        let size = (self.training_images, self.test_images);
        match layout {
            _ if !self.faults.is_empty() => "faulty",
            Some(layout) if size == layout.published_size() => "complete",
            _ => "readable",
        }
    }

    fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("numbers and texts have a JSON form");
        text.push('\n');
        text
    }

    fn to_text(&self) -> String {
        let mut text = format!(
            "{}: {}\n",
            self.path,
            self.set.map_or("no known set".to_owned(), |set| format!("the files of {set}"))
        );
        let width = self.files.iter().map(|file| file.name.len()).max().unwrap_or_default();
        for FileReport { name, bytes, images, sha256 } in &self.files {
            let images = images.map_or("?".to_owned(), |count| number(count as f64, 0));
            let bytes = number(*bytes as f64, 0);
            let _ = writeln!(text, "  {name:<width$}  {bytes:>11} bytes  {images:>6} images  SHA-256 {sha256}");
        }
        for (what, count, labels) in [
            ("training images", self.training_images, &self.training_labels),
            ("test images", self.test_images, &self.test_labels),
        ] {
            if count > 0 {
                let _ = writeln!(text, "{} {what}: {}", number(count as f64, 0), per_class(labels));
            }
        }
        if let Some(md5) = &self.md5 {
            let message = match self.published_md5 {
                Some(true) => ", the published one",
                Some(false) => ", not the published one",
                None => "",
            };
            let _ = writeln!(text, "MD5 of the archive: {md5}{message}");
        }
        if let Some(sha256) = &self.sha256 {
            let message = if self.recorded_sha256.is_some() { ", as it was fetched" } else { "" };
            let message = if self.faults.is_empty() { message } else { "" };
            let _ = writeln!(text, "SHA-256 of labels and pixels: {sha256}{message}");
        }
        for fault in &self.faults {
            let _ = writeln!(text, "{fault}");
        }
        let _ = writeln!(text, "{}", self.verdict_sentence());
        text
    }

    fn verdict_sentence(&self) -> &'static str {
        match self.verdict {
            "complete" => "Complete: as many images as the published set has.",
            "readable" => "Readable, but not as many images as the published set has.",
            _ => "Faulty.",
        }
    }
}

/// How many images each class has.
fn per_class(labels: &[usize]) -> String {
    let (classes, least, most) = (labels.len(), labels.iter().min(), labels.iter().max());
    match (least, most) {
        (Some(least), Some(most)) if least == most => {
            format!("{} of each of {classes} classes", number(*least as f64, 0))
        }
        // More would fill the terminal; the JSON has them.
        (Some(least), Some(most)) if classes > 20 => format!("{least} to {most} of each of {classes} classes"),
        _ => format!(
            "{} of the classes 0 to {}",
            labels.iter().map(usize::to_string).collect::<Vec<_>>().join(", "),
            classes - 1
        ),
    }
}
