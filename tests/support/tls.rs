//! Certificates, made when a test needs them, and what a client shows of them.
use std::io::{self, Read, Write};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// A certificate and its private key.
pub struct Certificate {
    pub der: CertificateDer<'static>,
    key: Vec<u8>,
}

pub struct Authority {
    pub certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Every authority has the same name, so that nothing but its key tells it from another.
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = Certificate {
            der: params.self_signed(&key).unwrap().into(),
            key: key.serialize_der(),
        };
        let issuer = Issuer::new(params, key);
        Self { certificate, issuer }
    }

    /// A certificate of this authority for `localhost`, with these URI SANs.
    pub fn issues(&self, uris: &[&str]) -> Certificate {
        let key = KeyPair::generate().unwrap();
        Certificate {
            der: params(uris).signed_by(&key, &self.issuer).unwrap().into(),
            key: key.serialize_der(),
        }
    }
}

/// Signed by nobody but itself.
pub fn self_signed(uris: &[&str]) -> Certificate {
    let key = KeyPair::generate().unwrap();
    Certificate {
        der: params(uris).self_signed(&key).unwrap().into(),
        key: key.serialize_der(),
    }
}

fn params(uris: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let uris = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap()));
    params.subject_alt_names.extend(uris);
    params
}

impl Certificate {
    pub fn pem(&self) -> String {
        pem("CERTIFICATE", &self.der)
    }

    pub fn key_pem(&self) -> String {
        pem("PRIVATE KEY", &self.key)
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = (0..text.len())
        .step_by(64)
        .map(|at| &text[at..(at + 64).min(text.len())])
        .collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// TLS 1.3 to a server of this authority; the client shows `own` to whoever asks for a certificate.
pub fn config(server: &Authority, own: Option<&Certificate>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(server.certificate.der.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    Arc::new(match own {
        Some(own) => {
            let key = PrivateKeyDer::Pkcs8(own.key.clone().into());
            config.with_client_auth_cert(vec![own.der.clone()], key).unwrap()
        }
        None => config.with_no_client_auth(),
    })
}

/// The handshake happens at the first byte that is written or read.
pub fn over<S: Read + Write>(stream: S, config: Arc<ClientConfig>) -> io::Result<StreamOwned<ClientConnection, S>> {
    let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
    let connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
    Ok(StreamOwned::new(connection, stream))
}
