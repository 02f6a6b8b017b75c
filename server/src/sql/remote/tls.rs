//! TLS to a database server: what is asked of whoever answers.
//!
//! Encryption without a proof of who is at the other end keeps out those who only listen: whoever can answer in the server's
//! place holds both halves of the conversation. So `verify-full` asks for a certificate that an authority of ours has signed for
//! the very name that `database.json` has; `require` asks for nothing, and is for networks in which nobody can put himself in
//! between.
//!
//! **What is simplified.** No certificates of clients, no lists of revoked ones, no authorities of the system: a
//! database has one of its own, or of its provider, whose certificate is one file.
//!
//! Source: <https://www.postgresql.org/docs/current/libpq-ssl.html>, for the words and what they promise.

use super::Trouble;
use crate::sql::SqlError;
use protocol::database::Tls;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use std::{path::Path, sync::Arc};

/// The beginning of a conversation with this host; none if it is to be in clear. The file of the authority is read each
/// time: it may be renewed while servers run.
pub(super) fn begin(tls: &Tls, host: &str) -> Result<Option<ClientConnection>, Trouble> {
    let provider = Arc::new(ring::default_provider());
    let builder = || {
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
        builder.map_err(|error| unusable(&error.to_string()))
    };
    let config = match tls {
        Tls::Disable => return Ok(None),
        Tls::VerifyFull { ca } => builder()?.with_root_certificates(authorities(ca)?).with_no_client_auth(),
        Tls::Require => {
            let anybody = Arc::new(Anybody(Arc::clone(&provider)));
            builder()?.dangerous().with_custom_certificate_verifier(anybody).with_no_client_auth()
        }
    };
    let name = ServerName::try_from(host.to_owned());
    let name = name.map_err(|_| unusable(&format!("{host} is no name that a certificate could be for")))?;
    let begun = ClientConnection::new(Arc::new(config), name);
    begun.map(Some).map_err(|error| unusable(&error.to_string()))
}

fn authorities(file: &Path) -> Result<RootCertStore, Trouble> {
    let shown = file.display();
    let unreadable = |error: rustls::pki_types::pem::Error| {
        unusable(&format!("the file {shown} with the authority's certificate cannot be read ({error})"))
    };
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(unreadable)? {
        let added = store.add(certificate.map_err(unreadable)?);
        added.map_err(|error| unusable(&format!("a certificate in {shown} is not one of an authority ({error})")))?;
    }
    if store.is_empty() {
        return Err(unusable(&format!("the file {shown} holds no certificate (PEM)")));
    }
    Ok(store)
}

fn unusable(why: &str) -> Trouble {
    SqlError::Unavailable(format!("TLS cannot be begun: {why}")).into()
}

/// What an error of a handshake means. That somebody else answers is no matter of the moment: it is not tried again.
pub(super) fn refused(error: &Error) -> Trouble {
    let why = match error {
        Error::InvalidCertificate(why) => format!("its certificate is not accepted ({why})"),
        Error::AlertReceived(alert) => format!("it has broken the handshake of TLS off ({alert:?})"),
        other => format!("TLS has failed ({other})"),
    };
    SqlError::Unavailable(why).into()
}

/// Takes any certificate, as long as whoever shows it has its key.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
