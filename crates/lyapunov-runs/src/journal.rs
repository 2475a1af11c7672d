//! How SQLite keeps a database whole while it is written: by a log beside it, or by a rollback journal where that log
//! is not safe.
//!
//! The write-ahead log lets readers see rows while they are written, but readers and writer share memory through a
//! file, which works on one machine only. On network file systems a rollback journal does what a log cannot: then a
//! reader and the writer wait for each other.

use std::{fs, path::Path};

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

/// The journal of a database.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Journal {
    /// A write-ahead log: for the disks of one machine.
    #[default]
    Wal,
    /// A rollback journal: for network file systems.
    Rollback,
}

/// File systems that several machines share, as Linux names them. Those of FUSE may be anything; `sshfs` and object
/// stores are among them.
const SHARED: [&str; 20] = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "lustre",
    "ceph",
    "gpfs",
    "beegfs",
    "beegfs_nodev",
    "panfs",
    "afs",
    "9p",
    "ocfs2",
    "gfs2",
    "glusterfs",
    "orangefs",
    "pvfs2",
    "weka",
    "wekafs",
];

impl Journal {
    /// Its name: `wal` or `rollback`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wal => "wal",
            Self::Rollback => "rollback",
        }
    }

    /// The one for a file in `folder`, and the file system that this is for, where it is known.
    pub fn suited_to(folder: &Path) -> (Self, Option<String>) {
        let Some(kind) = file_system(folder) else { return (Self::Wal, None) };
        let shared = SHARED.contains(&kind.as_str()) || kind.starts_with("fuse");
        (if shared { Self::Rollback } else { Self::Wal }, Some(kind))
    }

    /// Sets it up for `connection`.
    pub(crate) fn apply(self, connection: &Connection) -> rusqlite::Result<()> {
        match self {
            Self::Wal => connection.pragma_update(None, "journal_mode", "WAL")?,
            Self::Rollback => connection.pragma_update(None, "journal_mode", "DELETE")?,
        }
        self.relax(connection)
    }

    /// As durable as single rows have to be.
    pub(crate) fn relax(self, connection: &Connection) -> rusqlite::Result<()> {
        // Without a log, anything less than FULL may damage the file where the power goes.
        connection.pragma_update(None, "synchronous", if self == Self::Wal { "NORMAL" } else { "FULL" })
    }
}

/// The kind of file system that `folder` is on, by the table of mounts; `None` where there is none, as outside Linux.
fn file_system(folder: &Path) -> Option<String> {
    let folder = fs::canonicalize(folder).ok()?;
    kind_of(&folder, &fs::read_to_string("/proc/self/mountinfo").ok()?)
}

/// The kind of the mount that is nearest above `folder`: the last one where several were mounted over each other.
fn kind_of(folder: &Path, mounts: &str) -> Option<String> {
    let mount = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        let point = before.split(' ').nth(4)?.replace("\\040", " ");
        let depth = Path::new(&point).components().count();
        folder.starts_with(&point).then(|| (depth, after.split(' ').next().unwrap_or_default().to_owned()))
    };
    mounts.lines().filter_map(mount).max_by_key(|(depth, _)| *depth).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_mount_decides() {
        let mounts = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
                      40 22 0:35 / /home rw - nfs4 server:/home rw\n\
                      41 40 0:36 / /home/me/my\\040scratch rw master:1 - lustre mds@tcp:/scratch rw\n\
                      42 22 0:37 / /homework rw - xfs /dev/vdb rw\n";
        let kind = |folder: &str| kind_of(Path::new(folder), mounts).unwrap();
        assert_eq!(kind("/var/runs"), "ext4");
        assert_eq!(kind("/home/me/runs"), "nfs4");
        assert_eq!(kind("/home/me/my scratch/runs"), "lustre");
        assert_eq!(kind("/homework/runs"), "xfs", "not a folder of /home");
        assert_eq!(kind_of(Path::new("/a"), ""), None);
    }

    #[test]
    fn a_folder_on_a_disk_gets_a_log() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, kind) = Journal::suited_to(folder.path());
        if kind.is_none_or(|kind| ["ext4", "xfs", "btrfs", "tmpfs", "overlay"].contains(&kind.as_str())) {
            assert_eq!(journal, Journal::Wal);
        }
    }
}
