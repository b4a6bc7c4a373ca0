//! The commands of docs/mesh.md, as they stand there, against the real API server. Helm and make are played, and so is
//! waiting for pods, since there are none.
use crate::ROOT;
use crate::injected::injected;
use crate::kube::{apply, kubectl, run, said, tool};
use crate::report::Report;
use crate::support::tls::Authority;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Refuses a second restart within a second; so does the API server's kubectl, and it is asked again.
const KUBECTL: &str = r#"#!/bin/sh
case "$*" in
*"rollout status"*) exit 0 ;;
*"rollout restart"*) for _ in 1 2 3 4; do "$KUBECTL" "$@" && exit 0; sleep 1; done; exit 1 ;;
*"-k istio/overlays"*) exec "$KUBECTL" "$@" --dry-run=server ;;
*) exec "$KUBECTL" "$@" ;;
esac
"#;
const PLAYED: &str = "#!/bin/sh\necho \"$(basename \"$0\") $*\" >>played\n";
const DEPLOYMENTS: [(&str, &str, &str); 5] = [
    ("platform", "auth", "auth"),
    ("istio-ingress", "istio-ingressgateway", "istio-ingressgateway"),
    ("shop", "orders-v1", "orders"),
    ("shop", "orders-v2", "orders"),
    ("shop", "catalog", "catalog"),
];

/// The commands behind a marker of the guide.
fn commands(name: &str) -> String {
    let guide = fs::read_to_string(format!("{ROOT}/docs/mesh.md")).expect("docs/mesh.md");
    let marker = format!("<!-- commands: {name} -->\n```sh\n");
    let (_, rest) = guide.split_once(&marker).unwrap_or_else(|| panic!("no {marker}"));
    rest.split("```").next().expect("the end of the block").to_owned()
}

/// A folder that looks like the repository, but for what the commands leave there.
fn folder() -> PathBuf {
    let folder = run("guide");
    let _ = fs::remove_dir_all(&folder);
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).expect("a folder");
    for (name, text) in [("kubectl", KUBECTL), ("helm", PLAYED), ("make", PLAYED)] {
        fs::write(bin.join(name), text).expect("a program");
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).expect("a program");
    }
    for name in ["istio", "dist", "envoy"] {
        symlink(Path::new(ROOT).join(name), folder.join(name)).expect("a link");
    }
    let own = Authority::new().issues(&["shop.example.com"]);
    fs::write(folder.join("shop.crt"), own.pem()).expect("a certificate");
    fs::write(folder.join("shop.key"), own.key_pem()).expect("a key");
    folder
}

#[track_caller]
fn executed(folder: &Path, name: &str) {
    ran(folder, name, &commands(name));
}

/// The objects of a way deleted, as the guide says it of `envoyfilter`.
#[track_caller]
pub fn way_before(old: &str) {
    let text = commands("way before");
    let said = "old=envoyfilter";
    assert!(text.contains(said), "{text}");
    ran(&run("guide"), "way before", &text.replace(said, &format!("old={old}")));
}

#[track_caller]
fn ran(folder: &Path, name: &str, text: &str) {
    let (fine, said) = tried(folder, text);
    assert!(fine, "{name}: {said}");
}

fn tried(folder: &Path, commands: &str) -> (bool, String) {
    let path = std::env::var("PATH").expect("PATH");
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", commands])
        .current_dir(folder)
        .env("PATH", format!("{}:{path}", folder.join("bin").display()))
        .env("KUBECTL", tool("bin/kubectl"))
        .env("KUBECONFIG", run("kubeconfig"))
        .env("HOME", run(""))
        .output();
    said(&output.expect("bash"))
}

#[track_caller]
fn object(namespace: &str, kind: &str, name: &str) -> Value {
    let output = kubectl(&["-n", namespace, "get", kind, name, "-o", "json"]);
    assert!(output.status.success(), "{}", said(&output).1);
    serde_json::from_slice(&output.stdout).expect("JSON")
}

pub fn checks(report: &mut Report) {
    let folder = folder();
    for (namespace, name, app) in DEPLOYMENTS {
        let labels = json!({"app": app});
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": namespace},
            "spec": {"selector": {"matchLabels": labels}, "template": {
                "metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": "app"}]},
            }},
        });
        apply(&deployment.to_string());
    }
    report.check("docs/mesh.md: the commands of Installing do what they say", || {
        executed(&folder, "installing");
        for namespace in ["istio-ingress", "shop"] {
            let labels = object("", "namespace", namespace)["metadata"]["labels"].clone();
            assert_eq!(labels["istio-injection"], "enabled");
            assert!(object(namespace, "configmap", "meshgate-module")["binaryData"]["meshgate.wasm"].is_string());
            assert!(object(namespace, "configmap", "meshgate-bootstrap")["data"]["custom_bootstrap.json"].is_string());
        }
        assert!(object("istio-ingress", "secret", "shop-tls")["data"]["tls.crt"].is_string());
        let key = object("istio-ingress", "secret", "meshgate");
        assert!(key["data"]["MESHGATE_SIGNING_KEY"].is_string());
        // What it mounts is there under that name.
        let pod = object("shop", "deployment", "orders-v2")["spec"]["template"].clone();
        let annotations = &pod["metadata"]["annotations"];
        let volumes: Value = annotated(&annotations["sidecar.istio.io/userVolume"]);
        let mounts: Value = annotated(&annotations["sidecar.istio.io/userVolumeMount"]);
        assert_eq!(volumes[0]["configMap"]["name"], "meshgate-module");
        assert_eq!(
            (&mounts[0]["name"], &mounts[0]["mountPath"]),
            (&volumes[0]["name"], &json!("/var/run/meshgate"))
        );
        assert_eq!(annotations["sidecar.istio.io/bootstrapOverride"], "meshgate-bootstrap");
        let played = played(&folder);
        for line in played
            .lines()
            .filter(|l| l.starts_with("helm ") && !l.contains(" repo "))
        {
            // Else Helm takes the newest there is.
            assert!(line.contains(&format!(" --version {} ", version())), "{line}");
            let file = line.rsplit_once(" -f ").expect("values").1;
            assert!(Path::new(ROOT).join(file).is_file(), "{line}");
        }
    });
    report.check(
        "the gateway's chart is given the volume, the keys and the labels of its metrics",
        || {
            let values =
                crate::kube::parsed(&fs::read_to_string(format!("{ROOT}/istio/gateway-values.yaml")).expect("values"));
            let config = object("istio-ingress", "configmap", "meshgate-module")["metadata"]["name"].clone();
            assert_eq!(values["volumes"][0]["configMap"]["name"], config);
            assert_eq!(values["volumeMounts"][0]["name"], values["volumes"][0]["name"]);
            assert_eq!(values["volumeMounts"][0]["mountPath"], "/var/run/meshgate");
            assert_eq!(
                values["podAnnotations"]["sidecar.istio.io/bootstrapOverride"],
                "meshgate-bootstrap"
            );
            let secret = object("istio-ingress", "secret", "meshgate");
            for variable in values["envVarFrom"].as_array().expect("variables") {
                let from = &variable["valueFrom"]["secretKeyRef"];
                assert_eq!(
                    (&variable["name"], &from["name"]),
                    (&from["key"], &secret["metadata"]["name"])
                );
                // A pod does not start without what is not optional.
                assert_eq!(from["optional"], true, "{variable}");
                // Of its environment the filter sees what is listed, in each way.
                for way in crate::ways::WAYS {
                    let path = format!("{ROOT}/istio/components/gateway/{}/filter.yaml", way.0);
                    let filter = fs::read_to_string(path).expect("a filter");
                    let listed = |c: char| !c.is_ascii_alphanumeric() && c != '_';
                    let name = variable["name"].as_str().expect("a name");
                    assert!(filter.split(listed).any(|word| word == name), "{}: {name}", way.0);
                }
            }
        },
    );
    owned(report);
    report.check("Istio's injector makes of it what the proxies here are given", || {
        let mut deployment = object("shop", "deployment", "orders-v1");
        // As the page has it for the filter's lines about requests.
        let page = fs::read_to_string(format!("{ROOT}/docs/mesh.md")).expect("docs/mesh.md");
        let level = page
            .split("`sidecar.istio.io/componentLogLevel: ")
            .nth(1)
            .and_then(|rest| rest.split('`').next());
        let level = level.expect("a level");
        deployment["spec"]["template"]["metadata"]["annotations"]["sidecar.istio.io/componentLogLevel"] = json!(level);
        let proxy = injected(&folder, &deployment);
        let argument = json!(format!("--proxyComponentLogLevel={level}"));
        assert!(level.contains("wasm:info"));
        assert!(
            proxy["args"].as_array().expect("arguments").contains(&argument),
            "{proxy}"
        );
    });
    report.check(
        "docs/mesh.md: a policy, the module and the key are changed as it says",
        || {
            let before = object("shop", "deployment", "catalog")["metadata"]["generation"].clone();
            executed(&folder, "policy");
            executed(&folder, "module");
            assert_ne!(
                object("shop", "deployment", "catalog")["metadata"]["generation"],
                before
            );
        },
    );
    report.check(
        "docs/mesh.md: a key is added beside the one in use, and none is lost when it is done again",
        || {
            let keys = || object("istio-ingress", "secret", "meshgate")["data"].clone();
            let before = keys();
            executed(&folder, "key");
            let both = keys();
            let [old, new] = ["MESHGATE_SIGNING_KEY", "MESHGATE_SIGNING_KEY_NEXT"].map(|name| &both[name]);
            assert_eq!(
                (old, before.as_object().map(|keys| keys.len())),
                (&before["MESHGATE_SIGNING_KEY"], Some(1))
            );
            assert!(new.as_str().is_some_and(|key| key.len() > 100) && new != old, "{both}");
            let turned =
                |name: &str| commands(name).replace("OLD=MESHGATE_SIGNING_KEY", "OLD=MESHGATE_SIGNING_KEY_NEXT");
            let turned_key = turned("key").replace("NEW=MESHGATE_SIGNING_KEY_NEXT", "NEW=MESHGATE_SIGNING_KEY");
            // The policy names the first.
            for stopped in [commands("key"), turned_key.clone(), commands("key-gone")] {
                let (fine, said) = tried(&folder, &stopped);
                assert!(!fine && said.contains("nothing is changed"), "{said}");
                assert_eq!(keys(), both);
            }
            for _ in 0..2 {
                let (fine, said) = tried(&folder, &turned("key-gone"));
                assert!(fine, "{said}");
                assert_eq!(keys(), before);
            }
            // The key in use is not there under that name.
            let (fine, said) = tried(&folder, &turned_key);
            assert!(!fine && said.contains("nothing is changed"), "{said}");
            assert_eq!(keys(), before);
        },
    );
}

/// The tree owns its Services: what is changed past it is shown, and stops the apply.
fn owned(report: &mut Report) {
    report.check(
        "docs/mesh.md: what was changed past the tree stops the apply, and the comparison shows it",
        || {
            let services = format!("{ROOT}/istio/base/services.yaml");
            let applied =
                |more: &[&str]| said(&kubectl(&[&["apply", "--server-side", "-f", &services], more].concat()));
            let compared = || {
                said(&kubectl(&[
                    "diff",
                    "--server-side",
                    "--force-conflicts",
                    "-f",
                    &services,
                ]))
            };
            assert!(applied(&[]).0 && applied(&[]).0);
            assert!(compared().0);
            let patch = r#"{"spec": {"selector": {"app": "else"}}}"#;
            let patched = kubectl(&["-n", "shop", "patch", "service", "orders", "--type=merge", "-p", patch]);
            assert!(patched.status.success(), "{}", said(&patched).1);
            let (fine, why) = applied(&[]);
            assert!(!fine && why.contains("conflict"), "{why}");
            let (same, shown) = compared();
            assert!(
                !same && shown.contains("-    app: else") && shown.contains("+    app: orders"),
                "{shown}"
            );
            let (fine, why) = applied(&["--force-conflicts"]);
            assert!(fine, "{why}");
            assert!(compared().0 && applied(&[]).0);
        },
    );
}

/// Of the Istio that is tested here.
fn version() -> String {
    let pinned = fs::read_to_string(format!("{ROOT}/tests/mesh/istiod/go.mod")).expect("go.mod");
    let version = pinned
        .split("istio.io/api v")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next());
    version.expect("a version").to_owned()
}

fn annotated(text: &Value) -> Value {
    serde_json::from_str(text.as_str().expect("text")).expect("JSON")
}

fn played(folder: &Path) -> String {
    fs::read_to_string(folder.join("played")).expect("helm and make")
}
