use crate::{kube::Kube, report::Report};
pub fn on_paper(_: &mut Report) {}
pub fn in_the_api_server(_: &mut Report, _: &Kube) {
    std::fs::copy(
        std::env::var("MESHGATE_WASM").expect("MESHGATE_WASM"),
        crate::kube::run("module.wasm"),
    )
    .expect("copy");
}
