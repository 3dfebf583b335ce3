//! One HTTP request, as `publish` needs it: http://, a small JSON answer, a deadline.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::http::uri::Authority;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// For everything; a node answers a publish within 2 s.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest answer that is read; more is no answer of a node.
const LARGEST: usize = 1 << 20;

/// An admin port, and what opens it.
pub(crate) struct Endpoint {
    base: String,
    authority: Authority,
    /// What stands before the paths of the API, without a slash at the end.
    path: String,
    key: Option<HeaderValue>,
}

impl Endpoint {
    /// Understands a URL and a key as they were typed.
    ///
    /// # Errors
    /// A sentence that names what cannot be one.
    pub(crate) fn parse(base: &str, key: Option<&str>) -> Result<Self> {
        let uri: Uri = base.parse().with_context(|| format!("{base:?} is no URL"))?;
        if uri.scheme_str() != Some("http") {
            bail!("{base:?} is no URL of an admin port: it must start with http://");
        }
        let authority = uri.authority().with_context(|| format!("{base:?} names no host"))?;
        let port = authority.as_str().rsplit('@').next().and_then(|rest| rest.strip_prefix(authority.host()));
        if port.is_none_or(|port| !port.is_empty() && authority.port_u16().is_none()) {
            bail!("{base:?} names no port: 1 to 65535 is expected");
        }
        let key = key.map(|key| HeaderValue::try_from(format!("Bearer {key}"))).transpose();
        Ok(Self {
            base: base.to_owned(),
            authority: authority.clone(),
            path: uri.path().trim_end_matches('/').to_owned(),
            key: key.context("the key has characters that cannot stand in a header")?,
        })
    }
}

/// Posts JSON to a path of an endpoint, once under this key; gives back status and body.
///
/// # Errors
/// Sentences that say what to do.
pub(crate) async fn post(
    endpoint: Endpoint,
    path: &str,
    idempotency_key: Option<&str>,
    body: String,
) -> Result<(u16, Bytes)> {
    let Endpoint { base, authority, path: before, key } = endpoint;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = authority.port_u16().unwrap_or(80);
    let mut request = Request::post(format!("{before}{path}"))
        .header(HOST, authority.as_str())
        .header(CONTENT_TYPE, "application/json");
    if let Some(key) = idempotency_key {
        request = request.header("idempotency-key", key);
    }
    if let Some(key) = key {
        request = request.header(AUTHORIZATION, key);
    }
    let request = request.body(Full::new(Bytes::from(body))).context("no request can be made of this")?;
    let exchange = async {
        let stream = TcpStream::connect((host, port)).await.with_context(|| {
            format!(
                "cannot reach {base}: start a node with `tidegate serve`, or name its admin port with --admin"
            )
        })?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let answer = async {
            let response = sender.send_request(request).await?;
            let status = response.status().as_u16();
            let body = Limited::new(response.into_body(), LARGEST).collect().await;
            let body = body.map_err(|error| anyhow::anyhow!("the answer cannot be read: {error}"))?;
            anyhow::Ok((status, body.to_bytes()))
        };
        tokio::pin!(connection, answer);
        tokio::select! {
            answer = &mut answer => answer,
            // The connection may be done while its last bytes are still to be taken.
            ended = &mut connection => match ended {
                Ok(()) => answer.await,
                Err(error) => Err(error.into()),
            },
        }
        .with_context(|| format!("{base} does not answer as a node does"))
    };
    match tokio::time::timeout(PATIENCE, exchange).await {
        Ok(answer) => answer,
        Err(_) => bail!("{base} did not answer within {} s", PATIENCE.as_secs()),
    }
}
