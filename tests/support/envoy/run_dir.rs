use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The files of one Envoy, under `target/envoy-logs/<test>/`: removed when the test passed, kept
/// and named when it panics.
pub struct RunDir {
    path: PathBuf,
}

impl RunDir {
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let test = std::thread::current().name().unwrap_or("unnamed").replace("::", ".");
        let number = COUNT.fetch_add(1, Ordering::SeqCst);
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let path = target
            .join("envoy-logs")
            .join(test)
            .join(format!("{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self { path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts a file there whole: whoever watches it sees the old one or the new one.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let (path, new) = (self.path.join(name), self.path.join(format!("{name}.new")));
        fs::write(&new, text).unwrap();
        fs::rename(&new, &path).unwrap();
        path
    }

    /// Empty when there is no such file.
    pub fn read(&self, name: &str) -> String {
        let bytes = fs::read(self.path.join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub fn append(&self, name: &str) -> File {
        fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path.join(name))
            .unwrap()
    }

    pub fn log(&self) -> String {
        self.read("envoy.log")
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("Envoy's log and files are kept in {}", self.path.display());
            return;
        }
        let _ = fs::remove_dir_all(&self.path);
        // Only succeeds when no other run of this test has left something.
        let _ = fs::remove_dir(self.path.parent().unwrap());
    }
}
