//! A file that is written whole or not at all, and never over what is read.

use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

/// Written beside its place, without a name, and brought there at the end; until then, what was there stays.
pub struct Output {
    writer: BufWriter<File>,
    /// Where to. None: a pipe, a terminal or another device, which has no content to lose.
    place: Option<PathBuf>,
}

/// Removed again. Whoever interrupts the command would otherwise find it beside the place.
struct Beside(PathBuf);

impl Output {
    pub fn create(file: &str) -> io::Result<Self> {
        let there = fs::metadata(file).ok();
        // What /dev/stdout leads to may be a file that somebody else has open.
        if there.as_ref().is_some_and(|there| !there.is_file()) || Path::new(file).starts_with("/dev") {
            let writer = BufWriter::new(File::create(file)?);
            return Ok(Self { writer, place: None });
        }
        // A link stays one.
        let place = fs::canonicalize(file).unwrap_or_else(|_| PathBuf::from(file));
        let beside = Beside::of(&place)?;
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&beside.0)?;
        Ok(Self {
            writer: BufWriter::new(file),
            place: Some(place),
        })
    }

    pub fn writer(&mut self) -> &mut dyn Write {
        &mut self.writer
    }

    pub fn finish(self) -> io::Result<()> {
        let mut written = self.writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        let Some(place) = self.place else { return Ok(()) };
        let beside = Beside::of(&place)?;
        let mut whole = File::create_new(&beside.0)?;
        if let Ok(there) = fs::metadata(&place) {
            whole.set_permissions(there.permissions())?;
        }
        written.rewind()?;
        io::copy(&mut written, &mut whole)?;
        fs::rename(&beside.0, &place)
    }
}

impl Beside {
    fn of(place: &Path) -> io::Result<Self> {
        let name = place.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let name = format!(".{}.{}.new", name.to_string_lossy(), std::process::id());
        Ok(Self(place.with_file_name(name)))
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // Nothing is there any more where it has been brought to its place.
        let _ = fs::remove_file(&self.0);
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
