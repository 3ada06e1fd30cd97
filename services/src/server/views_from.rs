//! Views taken from a running process of the same log, so that a new one need not fold it from its beginning.

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use rollbook_eventstore::{CopyOpener, Log, NotOfThisLog};
use rollbook_projections::ViewSource;
use rollbook_proto::v1::operations_service_client::OperationsServiceClient;
use rollbook_proto::v1::{CopyProjectionRequest, CopyProjectionResponse, ProjectionCopy};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Streaming};
use url::Url;

use crate::methods::sealed_as;

/// How long the other process may take to take a call.
const CONNECT: Duration = Duration::from_secs(10);

/// How long it may take to the next piece; before the first it copies its file.
const PATIENCE: Duration = Duration::from_mins(2);

/// Where views are taken from that would have to be built.
#[derive(Clone)]
pub struct ViewsFrom {
    /// The address of a process on the same database.
    pub server: Url,
    /// An operator's token for it.
    pub token: String,
    /// The certificate that it is trusted by, PEM.
    pub ca_pem: Option<Vec<u8>>,
}

/// Views cannot be taken from there.
#[derive(Debug, thiserror::Error)]
pub enum ViewsFromError {
    /// The token has characters that no token has.
    #[error("the token for it holds characters that no token has")]
    Token,
    /// The address or the certificate is unusable.
    #[error("its address or certificate is unusable")]
    Endpoint(#[from] tonic::transport::Error),
    /// Plain text is for loopback.
    #[error("{0} is not loopback: take them over https")]
    PlainText(Url),
}

/// A running process of the log.
struct Peer {
    channel: Channel,
    token: MetadataValue<Ascii>,
    log: Log,
}

type Failed = Box<dyn Error + Send + Sync>;

/// The source of views that is configured.
pub(super) fn source(
    from: Option<&ViewsFrom>,
    log: &Log,
) -> Result<Option<Arc<dyn ViewSource>>, ViewsFromError> {
    let Some(ViewsFrom {
        server,
        token,
        ca_pem,
    }) = from
    else {
        return Ok(None);
    };
    let mut endpoint = Endpoint::from_shared(server.to_string())?.connect_timeout(CONNECT);
    if server.scheme() == "https" {
        let mut tls = ClientTlsConfig::new();
        if let Some(pem) = ca_pem {
            tls = tls.ca_certificate(Certificate::from_pem(pem));
        }
        endpoint = endpoint.tls_config(tls)?;
    } else if !is_loopback(server) {
        return Err(ViewsFromError::PlainText(server.clone()));
    }
    let mut token: MetadataValue<Ascii> = format!("Bearer {token}")
        .parse()
        .map_err(|_| ViewsFromError::Token)?;
    token.set_sensitive(true);
    Ok(Some(Arc::new(Peer {
        channel: endpoint.connect_lazy(),
        token,
        log: log.clone(),
    })))
}

/// The views are sealed, but the token is not.
fn is_loopback(server: &Url) -> bool {
    match server.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

impl ViewSource for Peer {
    fn fetch<'a>(
        &'a self,
        view: &'static str,
        version: u32,
        into: &'a Path,
    ) -> BoxFuture<'a, Result<u64, Failed>> {
        self.copy(view, version, into).boxed()
    }
}

impl Peer {
    async fn copy(&self, view: &'static str, version: u32, into: &Path) -> Result<u64, Failed> {
        let mut request = Request::new(CopyProjectionRequest {
            name: view.to_owned(),
        });
        let metadata = request.metadata_mut();
        metadata.insert("authorization", self.token.clone());
        let mut operations = OperationsServiceClient::new(self.channel.clone());
        let called = operations.copy_projection(request);
        let mut pieces = tokio::time::timeout(PATIENCE, called).await??.into_inner();
        let copy = next(&mut pieces).await?.copy;
        let copy = copy.ok_or("it does not say what it sends")?;
        self.must_fit(&copy, version)?;
        let opener = self.log.open_copy(&sealed_as(view, version), &copy.salt);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(into)?;
        receive(pieces, opener, file).await?;
        Ok(copy.position)
    }

    fn must_fit(&self, copy: &ProjectionCopy, version: u32) -> Result<(), Failed> {
        if copy.log_id != self.log.id().to_string() {
            return Err(format!("it serves another log, {}", copy.log_id).into());
        }
        if copy.version != version {
            return Err(format!("it has version {}, not {version}", copy.version).into());
        }
        Ok(())
    }
}

/// Writes the pieces up to the last.
async fn receive(
    mut pieces: Streaming<CopyProjectionResponse>,
    mut opener: CopyOpener,
    mut file: File,
) -> Result<(), Failed> {
    loop {
        let CopyProjectionResponse { sealed, last, .. } = next(&mut pieces).await?;
        let written = tokio::task::spawn_blocking(move || {
            let (piece, opener) = open(opener, &sealed, last)?;
            file.write_all(&piece)?;
            if opener.is_none() {
                file.sync_all()?;
            }
            Ok::<_, Failed>((file, opener))
        });
        match written.await?? {
            (_, None) => return Ok(()),
            (written, Some(next)) => (file, opener) = (written, next),
        }
    }
}

fn open(
    mut opener: CopyOpener,
    sealed: &[u8],
    last: bool,
) -> Result<(Vec<u8>, Option<CopyOpener>), NotOfThisLog> {
    if last {
        return Ok((opener.last(sealed)?, None));
    }
    Ok((opener.next(sealed)?, Some(opener)))
}

async fn next(
    pieces: &mut Streaming<CopyProjectionResponse>,
) -> Result<CopyProjectionResponse, Failed> {
    let piece = tokio::time::timeout(PATIENCE, pieces.message()).await??;
    piece.ok_or_else(|| "it ended before the last piece".into())
}
