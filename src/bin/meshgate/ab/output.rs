//! A file that is written whole or not at all, and never over what is read.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Written beside its place and brought there at the end; until then, what was there stays.
pub struct Output {
    writer: BufWriter<File>,
    /// None: a pipe, a terminal or another device, which has no content to lose.
    pending: Option<Pending>,
}

/// Removed, unless it has been brought to its place.
struct Pending {
    beside: PathBuf,
    place: PathBuf,
}

impl Output {
    pub fn create(file: &str) -> io::Result<Self> {
        let there = fs::metadata(file).ok();
        // What /dev/stdout leads to may be a file that somebody else has open.
        if there.as_ref().is_some_and(|there| !there.is_file()) || Path::new(file).starts_with("/dev") {
            let writer = BufWriter::new(File::create(file)?);
            return Ok(Self { writer, pending: None });
        }
        // A link stays one.
        let place = fs::canonicalize(file).unwrap_or_else(|_| PathBuf::from(file));
        let name = place.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let beside = place.with_file_name(format!(".{}.{}.new", name.to_string_lossy(), std::process::id()));
        let created = File::create_new(&beside)?;
        let pending = Pending { beside, place };
        if let Some(there) = there {
            created.set_permissions(there.permissions())?;
        }
        let writer = BufWriter::new(created);
        Ok(Self {
            writer,
            pending: Some(pending),
        })
    }

    pub fn writer(&mut self) -> &mut dyn Write {
        &mut self.writer
    }

    pub fn finish(mut self) -> io::Result<()> {
        self.writer.flush()?;
        match &self.pending {
            Some(pending) => fs::rename(&pending.beside, &pending.place),
            None => Ok(()),
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        // Nothing is there any more where it has been brought to its place.
        let _ = fs::remove_file(&self.beside);
    }
}

/// The file is one of these, by whatever name, or one of a folder's files of a policy.
pub fn is_read(file: &str, read: &[&str]) -> bool {
    let Ok(file) = fs::canonicalize(file) else {
        return false;
    };
    let same = |path: &Path| fs::canonicalize(path).is_ok_and(|path| path == file);
    let within = |folder: PathBuf| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).any(|path| same(&path))
    };
    read.iter().map(Path::new).any(|path| match path.is_dir() {
        true => same(&path.join("platform.yaml")) || within(path.join("teams")) || within(path.join("env")),
        false => same(path),
    })
}
