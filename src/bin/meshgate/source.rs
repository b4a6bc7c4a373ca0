//! What a command is given: a policy, which is a file or a folder, or another file.

use crate::report::{Finding, Report};
use crate::stop::Stop;
use clap::Args;
use meshgate::config::folder::{File, Folder, NotBuilt};
use meshgate::config::{Built, Document};
use meshgate::policy::Policy;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The policy of a command.
#[derive(Args)]
pub struct PolicyArguments {
    /// A file (YAML or JSON, - is standard input), or a folder: platform.yaml, teams/*.yaml, env/*.yaml
    #[arg(value_name = "POLICY")]
    pub policy: String,

    /// Of a folder, the environment whose values are taken: the NAME of env/NAME.yaml
    #[arg(long, value_name = "NAME")]
    pub env: Option<String>,

    /// Of a folder, a value in place of the environment's
    #[arg(long, value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub set: Vec<(String, String)>,
}

impl PolicyArguments {
    /// One of several policies that a command is given: environment and values are those of the folders among them.
    pub fn of(policy: &str, env: Option<&String>, set: &[(String, String)]) -> Self {
        let is_folder = Path::new(policy).is_dir();
        Self {
            policy: policy.to_owned(),
            env: env.filter(|_| is_folder).cloned(),
            set: if is_folder { set.to_vec() } else { Vec::new() },
        }
    }
}

/// A policy without faults.
pub struct Loaded {
    pub policy: Policy,
    pub document: Document,
    /// Warnings alone.
    pub report: Report,
}

/// What is to say of a policy, and what of it is without faults.
pub struct Looked {
    pub report: Report,
    /// By environment, where there are any.
    pub built: Vec<(Option<String>, Built)>,
}

/// What was given, read but not yet built.
enum Given {
    Text(File),
    Folder { folder: Folder, path: PathBuf },
}

impl PolicyArguments {
    /// The policy of one environment, or its faults as they are told.
    pub fn load(&self) -> Result<Loaded, Stop> {
        self.load_into(None)
    }

    /// Also warned of: the clusters that a bootstrap does not have.
    pub fn load_into(&self, bootstrap: Option<&File>) -> Result<Loaded, Stop> {
        let environments = std::slice::from_ref(&self.env);
        let Looked { report, mut built } = self.given()?.look(environments, &self.set, bootstrap)?;
        match built.pop() {
            Some((_, Built { parsed, document })) if report.is_fine() => Ok(Loaded {
                policy: parsed.policy,
                document,
                report,
            }),
            _ => Err(Stop::Faults(report)),
        }
    }

    /// What is to say of the policy: of a folder in every environment, unless one is named.
    pub fn look(&self, bootstrap: Option<&File>) -> Result<Looked, Stop> {
        let given = self.given()?;
        let environments = match (&given, &self.env) {
            (Given::Folder { folder, .. }, None) if !folder.environments().is_empty() => {
                let all = folder.environments().into_iter();
                all.map(|name| Some(name.to_owned())).collect()
            }
            _ => vec![self.env.clone()],
        };
        given.look(&environments, &self.set, bootstrap)
    }

    /// What `--into` names.
    pub fn bootstrap(&self, file: Option<&str>) -> Result<Option<File>, Stop> {
        if self.policy == "-" && file == Some("-") {
            return Err(Stop::Usage("standard input can be one of the two".into()));
        }
        file.map(read).transpose()
    }

    fn given(&self) -> Result<Given, Stop> {
        let path = Path::new(&self.policy);
        if self.policy != "-" && path.is_dir() {
            let folder = Folder::new(files(path)?);
            return Ok(Given::Folder {
                folder,
                path: path.to_owned(),
            });
        }
        if self.env.is_some() || !self.set.is_empty() {
            let message = format!("{}: --env and --set are for a folder", self.policy);
            return Err(Stop::Usage(message));
        }
        Ok(Given::Text(read(&self.policy)?))
    }
}

impl Given {
    fn look(
        self,
        environments: &[Option<String>],
        set: &[(String, String)],
        bootstrap: Option<&File>,
    ) -> Result<Looked, Stop> {
        let mut all = vec![];
        match self {
            Self::Text(file) => {
                let (findings, built) = match Built::of_text(&file.text) {
                    Ok(built) => (warnings(&built, bootstrap)?, Some(built)),
                    Err(faults) => (Finding::faults(&faults), None),
                };
                all.extend(built.map(|built| (None, built)));
                Ok(Looked {
                    report: Report::new(vec![file], findings),
                    built: all,
                })
            }
            Self::Folder { mut folder, path } => {
                let mut findings = vec![];
                for (position, environment) in environments.iter().enumerate() {
                    let name = environment.as_deref();
                    let built = match position + 1 == environments.len() {
                        true => folder.build_last(name, set),
                        false => folder.build(name, set),
                    };
                    let found = match built {
                        Ok(built) => {
                            let warnings = warnings(&built, bootstrap)?;
                            all.push((environment.clone(), built));
                            warnings
                        }
                        Err(NotBuilt::Faults(faults)) => Finding::faults(&faults),
                        Err(NotBuilt::Asked(message)) => {
                            return Err(Stop::Usage(format!("{}: {message}", path.display())));
                        }
                    };
                    findings.push((environment.clone(), found));
                }
                let findings = Finding::united(findings);
                let named = folder.files().iter().map(|file| File {
                    name: path.join(&file.name).display().to_string(),
                    text: file.text.clone(),
                });
                Ok(Looked {
                    report: Report::new(named.collect(), findings),
                    built: all,
                })
            }
        }
    }
}

fn warnings(built: &Built, bootstrap: Option<&File>) -> Result<Vec<Finding>, Stop> {
    let mut warnings = Finding::warnings(&built.parsed.warnings);
    if let Some(bootstrap) = bootstrap {
        match built.document.unknown_clusters(&bootstrap.text) {
            Ok(unknown) => warnings.extend(Finding::warnings(&unknown)),
            Err(faults) => return Err(Stop::Faults(Report::of(bootstrap.clone(), &faults))),
        }
    }
    Ok(warnings)
}

/// Those of a folder. What looks like one of them and has another name would silently be none.
fn files(folder: &Path) -> Result<Vec<File>, Stop> {
    let mut files = vec![];
    let platform = folder.join("platform.yaml");
    if platform.exists() {
        files.push(named(&platform, "platform.yaml".into())?);
    }
    for kind in ["teams", "env"] {
        let within = folder.join(kind);
        if !within.is_dir() {
            continue;
        }
        let unusable = |error: std::io::Error| Stop::Unusable(format!("{}: {error}", within.display()));
        for entry in std::fs::read_dir(&within).map_err(unusable)? {
            let path = entry.map_err(unusable)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let extension = path.extension().unwrap_or_default().to_string_lossy().into_owned();
            match extension.as_str() {
                // An editor's, or a mount's.
                _ if name.starts_with('.') => {}
                "yaml" if path.is_file() => files.push(named(&path, format!("{kind}/{name}"))?),
                "yaml" | "yml" | "json" => {
                    let message = format!("{}: the files here are {kind}/NAME.yaml", path.display());
                    return Err(Stop::Unusable(message));
                }
                _ if path.is_dir() => {
                    let message = format!("{}: a folder, and none is read here", path.display());
                    return Err(Stop::Unusable(message));
                }
                _ => {}
            }
        }
    }
    Ok(files)
}

fn named(path: &Path, name: String) -> Result<File, Stop> {
    let text = read(&path.to_string_lossy())?.text;
    Ok(File { name, text })
}

/// A file, `-` is standard input.
pub fn read(file: &str) -> Result<File, Stop> {
    let bytes = match file {
        "-" => {
            let mut bytes = Vec::new();
            std::io::stdin().read_to_end(&mut bytes).map(|_| bytes)
        }
        _ => std::fs::read(file),
    };
    let bytes = bytes.map_err(|error| Stop::Unusable(format!("{file}: {error}")))?;
    let name = file.to_owned();
    match String::from_utf8(bytes) {
        Ok(text) => Ok(File { name, text }),
        Err(error) => Err(Stop::Told(format!("{file}: not UTF-8: {error}"))),
    }
}

pub fn name_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err("write NAME=VALUE".into()),
    }
}

/// A file, or standard input, of at most `most` bytes.
pub fn bytes(file: &str, most: usize) -> Result<Vec<u8>, Stop> {
    let read = |from: &mut dyn Read| {
        let mut bytes = Vec::new();
        let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
        from.take(limit).read_to_end(&mut bytes).map(|_| bytes)
    };
    let bytes = match file {
        "-" => read(&mut std::io::stdin()),
        _ => std::fs::File::open(file).and_then(|mut file| read(&mut file)),
    };
    match bytes {
        Ok(bytes) if bytes.len() > most => Err(Stop::Unusable(format!("{file}: over {most} bytes"))),
        Ok(bytes) => Ok(bytes),
        Err(error) => Err(Stop::Unusable(format!("{file}: {error}"))),
    }
}
