//! `make image`, without the building of the module: what stands in the image, under which names, and what a registry
//! gives back. Needs git, Python and Go.

#[path = "support/mod.rs"]
mod support;

use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use support::envoy::spawn;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Longer than a block of deflate, twice.
const MODULE: &[u8] = &[0x5a; 200_000];
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// What the scripts read, in a folder of its own.
struct Checkout(PathBuf);

impl Checkout {
    fn of(module: &[u8]) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!(
            "meshgate-image-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::SeqCst)
        );
        let checkout = Self(std::env::temp_dir().join(name));
        let names = [
            "Cargo.toml",
            "scripts/image",
            "scripts/image.py",
            "scripts/push",
            "scripts/common.sh",
        ];
        for name in names {
            let to = checkout.0.join(name);
            std::fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
            std::fs::copy(Path::new(ROOT).join(name), to).expect(name);
        }
        // The tools are those of the repository.
        let tool = format!("#!/bin/sh\nexec {ROOT}/scripts/tool \"$@\"\n");
        std::fs::write(checkout.0.join("scripts/tool"), tool).expect("scripts/tool");
        checkout.ran("chmod", &["+x", "scripts/tool"]);
        std::fs::create_dir(checkout.0.join("dist")).expect("dist");
        std::fs::write(checkout.0.join("dist/meshgate.wasm"), module).expect("the module");
        checkout
    }

    /// The same with two commits on the branch.
    fn on(branch: &str, module: &[u8]) -> Self {
        let checkout = Self::of(module);
        checkout.ran("git", &["init", "-q", "-b", branch]);
        for commit in ["one", "two"] {
            let who = ["-c", "user.name=a", "-c", "user.email=a@b"];
            let commit = ["commit", "-q", "--allow-empty", "-m", commit];
            checkout.ran("git", &[&who[..], &commit[..]].concat());
        }
        checkout
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&self.0).stdin(Stdio::null());
        for name in ["MESHGATE_BRANCH", "MESHGATE_BUILD"] {
            command.env_remove(name);
        }
        command
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CEILING_DIRECTORIES", std::env::temp_dir());
        command
    }

    #[track_caller]
    fn ran(&self, program: &str, arguments: &[&str]) -> String {
        stdout(program, &self.command(program, arguments).output().expect(program))
    }

    /// The lines of what `scripts/image` prints.
    #[track_caller]
    fn image(&self) -> Vec<String> {
        self.ran("scripts/image", &[]).lines().map(str::to_owned).collect()
    }

    fn json(&self, path: &str) -> Value {
        let bytes = std::fs::read(self.0.join(path)).expect(path);
        serde_json::from_slice(&bytes).expect(path)
    }

    /// Every file under dist/, by its path.
    fn dist(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let dist = self.0.join("dist");
        let mut folders = vec![dist.clone()];
        let mut found = BTreeMap::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let bytes = std::fs::read(&path).expect("a file");
                    found.insert(path.strip_prefix(&dist).expect("in it").to_owned(), bytes);
                }
            }
        }
        found
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[track_caller]
fn stdout(what: &str, output: &Output) -> String {
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {why}");
    String::from_utf8(output.stdout.clone()).expect("text")
}

/// A registry of go-containerregistry, its memory gone when dropped.
struct Registry(Child, String);

impl Registry {
    fn start() -> Self {
        let mut command = Command::new(crane());
        command.args(["registry", "serve", "--address", "127.0.0.1:0"]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = spawn(command);
        let mut lines = BufReader::new(child.stderr.take().expect("stderr")).lines();
        let port = lines.find_map(|line| Some(line.ok()?.rsplit_once("serving on port ")?.1.to_owned()));
        // Whatever it says later must find a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Self(child, format!("127.0.0.1:{}/filters/meshgate", port.expect("a port")))
    }

    #[track_caller]
    fn crane(&self, arguments: &[&str]) -> Vec<u8> {
        let output = Command::new(crane()).args(arguments).output().expect("crane");
        stdout(
            "crane",
            &Output {
                stdout: Vec::new(),
                ..output.clone()
            },
        );
        output.stdout
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn crane() -> String {
    static CRANE: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    let found = || {
        let tool = Command::new(format!("{ROOT}/scripts/tool")).arg("crane").output();
        stdout("no crane", &tool.expect("scripts/tool")).trim().to_owned()
    };
    CRANE.get_or_init(found).clone()
}

#[test]
fn two_checkouts_give_the_same_bytes() {
    let one = Checkout::on("main", MODULE);
    let mut image = one.command("scripts/image", &[]);
    stdout(
        "image",
        &image
            .env("TZ", "Asia/Tokyo")
            .env("SOURCE_DATE_EPOCH", "1")
            .output()
            .expect("image"),
    );
    let two = Checkout::on("main", MODULE);
    let mut image = two.command("sh", &["-c", "umask 077; PYTHONHASHSEED=7 exec scripts/image"]);
    stdout("image", &image.output().expect("image"));
    let (one, two) = (one.dist(), two.dist());
    assert_eq!(one.keys().collect::<Vec<_>>(), two.keys().collect::<Vec<_>>());
    assert!(one.len() >= 11, "{:?}", one.keys());
    for (path, bytes) in &one {
        assert!(two.get(path) == Some(bytes), "{} differs", path.display());
    }
}

/// A digest is of a module, not of the commit or the branch that it came from.
#[test]
fn the_digest_tells_the_module() {
    let digests = |branch: &str, module: &[u8]| {
        let lines = Checkout::on(branch, module).image();
        lines
            .iter()
            .map(|l| l.split_whitespace().nth(1).expect("a digest").to_owned())
            .collect::<Vec<_>>()
    };
    let mut changed = MODULE.to_vec();
    changed[100_000] ^= 1;
    assert_eq!(digests("main", MODULE), digests("next", MODULE));
    for (one, other) in digests("main", MODULE).iter().zip(digests("main", &changed)) {
        assert_ne!(*one, other);
    }
}

#[test]
fn tags_are_the_version_and_the_number_of_the_branch() {
    let release = [format!("v{}", env!("CARGO_PKG_VERSION"))];
    let tags = |checkout: &Checkout| {
        checkout.image();
        let index = checkout.json("dist/image/index.json");
        let name = |entry: &Value| {
            entry["annotations"]["org.opencontainers.image.ref.name"]
                .as_str()
                .map(str::to_owned)
        };
        let found = index["manifests"].as_array().expect("entries").iter();
        found.map(|entry| name(entry).expect("a tag")).collect::<Vec<_>>()
    };
    for (branch, tag) in [("main", "main_2"), ("team/One.x", "team-One.x_2"), ("_a", "_a_2")] {
        assert_eq!(tags(&Checkout::on(branch, MODULE)), [release[0].clone(), tag.into()]);
    }
    let long = "b".repeat(150);
    assert_eq!(tags(&Checkout::on(&long, MODULE))[1], format!("{}_2", &long[..90]));
    let detached = Checkout::on("main", MODULE);
    detached.ran("git", &["checkout", "-q", "--detach"]);
    assert_eq!(tags(&detached), release);
    assert_eq!(tags(&Checkout::of(MODULE)), release, "no repository at all");

    let told = |branch: &str, build: &str| {
        let mut image = detached.command("scripts/image", &[]);
        image
            .env("MESHGATE_BRANCH", branch)
            .env("MESHGATE_BUILD", build)
            .output()
            .expect("image")
    };
    assert!(stdout("image", &told("main", "412")).contains(" main_412\n"));
    assert!(!told("main", "4 12").status.success());
}

/// What git calls a release is the version that the module says of itself.
#[test]
fn a_release_of_another_version_is_none() {
    let checkout = Checkout::on("main", MODULE);
    checkout.ran("git", &["tag", "v9.9.9"]);
    let other = checkout.command("scripts/image", &[]).output().expect("image");
    assert!(!other.status.success());
    let why = String::from_utf8_lossy(&other.stderr);
    assert!(why.contains("git calls this commit v9.9.9"), "{why}");
    checkout.ran("git", &["tag", concat!("v", env!("CARGO_PKG_VERSION"))]);
    checkout.image();
}

/// Docker and the kubelet refuse to start it, as nothing in it can run.
#[test]
fn the_image_is_one_layer_and_nothing_to_run() {
    let checkout = Checkout::on("main", MODULE);
    checkout.image();
    let blob = |entry: &Value| {
        let digest = entry["digest"].as_str().expect("a digest");
        format!("dist/image/blobs/{}", digest.replace(':', "/"))
    };
    let manifest = checkout.json(&blob(&checkout.json("dist/image/index.json")["manifests"][0]));
    let layers = manifest["layers"].as_array().expect("layers");
    assert_eq!(
        layers.iter().map(|l| l["mediaType"].as_str()).collect::<Vec<_>>(),
        [Some(LAYER)]
    );
    assert_eq!(manifest["annotations"]["module.wasm.image/variant"], "compat");
    let config = checkout.json(&blob(&manifest["config"]));
    let fields: Vec<&String> = config["config"].as_object().expect("config").keys().collect();
    assert_eq!(fields, ["Labels"], "an entrypoint or a command");
    assert!(config.get("created").is_none(), "a clock");
    // tar and gzip of the machine, not ours.
    let layer = blob(&layers[0]);
    assert_eq!(checkout.ran("tar", &["tzf", &layer]), "plugin.wasm\n");
    let diff = checkout.ran("sh", &["-c", &format!("gzip -dc <{layer} | sha256sum | cut -d' ' -f1")]);
    assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{}", diff.trim()));

    // Old engines read manifest.json, new ones the layout.
    let archive = "dist/meshgate-image.tar";
    let listed = checkout.ran("tar", &["tf", archive]);
    let old: Value = serde_json::from_str(&checkout.ran("tar", &["xOf", archive, "manifest.json"])).expect("JSON");
    let release = format!("meshgate:v{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(old[0]["RepoTags"], serde_json::json!([release, "meshgate:main_2"]));
    for path in [&old[0]["Config"], &old[0]["Layers"][0]] {
        assert!(listed.contains(path.as_str().expect("a path")), "{path} is not in it");
    }
    let crane = crane();
    checkout.ran(&crane, &["validate", "--tarball", archive]);
}

#[test]
fn a_registry_gives_back_the_same_image() {
    let checkout = Checkout::on("main", MODULE);
    checkout.image();
    let registry = Registry::start();
    let to = registry.1.as_str();
    let pushed = checkout.ran("scripts/push", &[to]);
    let release = format!("{to}:v{}", env!("CARGO_PKG_VERSION"));
    let tag = release.rsplit_once(':').expect("a tag").1;
    assert_eq!(checkout.ran("scripts/push", &[to, tag]), pushed);
    let digest = pushed.trim().rsplit_once('@').expect("a digest").1;
    assert!(checkout.image()[0].contains(digest));
    for reference in [format!("{to}:main_2"), release] {
        assert_eq!(
            registry.crane(&["digest", &reference]),
            format!("{digest}\n").into_bytes()
        );
    }
    // Each blob has its digest, each layer its diff id.
    registry.crane(&["validate", "--remote", pushed.trim()]);
    let folder = checkout.0.join("pulled.tar");
    registry.crane(&["export", pushed.trim(), folder.to_str().expect("a path")]);
    assert!(checkout.ran("tar", &["xOf", "pulled.tar", "plugin.wasm"]).as_bytes() == MODULE);
    assert!(!tags(&registry).contains("-artifact"));
}

fn tags(registry: &Registry) -> String {
    String::from_utf8(registry.crane(&["ls", &registry.1])).expect("text")
}

/// Two layers, as pilot-agent asks, one of them the module as it is.
#[test]
fn a_registry_gives_back_the_same_artifact() {
    let checkout = Checkout::on("main", MODULE);
    checkout.image();
    let registry = Registry::start();
    let pushed = checkout.ran("scripts/push", &["--artifact", &registry.1]);
    assert_eq!(tags(&registry), "main_2-artifact\n");
    let manifest: Value = serde_json::from_slice(&registry.crane(&["manifest", pushed.trim()])).expect("JSON");
    let types: Vec<_> = manifest["layers"]
        .as_array()
        .expect("layers")
        .iter()
        .map(|l| &l["mediaType"])
        .collect();
    let config = "application/vnd.module.wasm.config.v1+json";
    assert_eq!(types, [config, "application/vnd.module.wasm.content.layer.v1+wasm"]);
    assert_eq!(manifest["config"]["mediaType"], config);
    let module = manifest["layers"][1]["digest"].as_str().expect("a digest");
    assert!(registry.crane(&["blob", &format!("{}@{module}", registry.1)]) == MODULE);
}

#[test]
fn a_release_in_a_registry_is_never_replaced() {
    let registry = Registry::start();
    let release = format!("v{}", env!("CARGO_PKG_VERSION"));
    let push = |module: &[u8], tag: &str| {
        let checkout = Checkout::on("main", module);
        checkout.image();
        checkout
            .command("scripts/push", &[&registry.1, tag])
            .output()
            .expect("push")
    };
    for tag in [&release, "main_2"] {
        stdout("push", &push(MODULE, tag));
    }
    stdout("the same again", &push(MODULE, &release));
    let before = registry.crane(&["digest", &format!("{}:{release}", registry.1)]);
    let other = push(b"another", &release);
    assert!(!other.status.success());
    assert!(
        String::from_utf8_lossy(&other.stderr).contains("is there, and another one"),
        "{other:?}"
    );
    assert_eq!(
        registry.crane(&["digest", &format!("{}:{release}", registry.1)]),
        before
    );
    stdout("a branch's builds may be", &push(b"another", "main_2"));
}
