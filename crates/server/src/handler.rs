//! What answers the requests of one connection: the doors or the router.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response, StatusCode, Version};
use http_body_util::{Either, Full};
use hyper::body::Incoming;

use crate::App;
use crate::connection::{Activity, MOST_HEADERS};
use crate::doors::{self, authz, ext_authz};
use crate::oauth;
use crate::observe::Peer;
use crate::router::Service;
use crate::tls::Certificate;
use crate::upload::Upload;

/// A door's answer is made of what is at hand; the router's of what axum boxed.
type Answer = Either<Full<Bytes>, Body>;

/// Answers the requests of one connection.
pub(crate) struct Handler {
    app: Arc<App>,
    service: Service,
    peer: IpAddr,
    admission: Admission,
    activity: Arc<Activity>,
}

/// Whether the doors answer a client.
enum Admission {
    /// They answer everybody.
    Granted,
    /// It has shown no certificate, and they answer those alone who have.
    Refused,
    /// As long as those are believed who vouch for what it has shown.
    By(Certificate),
}

impl Handler {
    /// For a client at `peer`, of which nothing is known yet.
    pub(crate) fn new(app: Arc<App>, service: Service, peer: IpAddr) -> Self {
        let admission =
            if app.settings.doors_need_certificate { Admission::Refused } else { Admission::Granted };
        Self { app, service, peer, admission, activity: Arc::default() }
    }

    /// For a client that has shown a certificate, or not.
    pub(crate) fn with_certificate(mut self, certificate: Option<Certificate>) -> Self {
        if let (Admission::Refused, Some(certificate)) = (&self.admission, certificate) {
            self.admission = Admission::By(certificate);
        }
        self
    }

    fn is_admitted(&self) -> bool {
        match &self.admission {
            Admission::Granted => true,
            Admission::Refused => false,
            Admission::By(certificate) => {
                let is_good = certificate.is_good();
                if !is_good {
                    // It may have a better one by now, and shows that on a new connection alone.
                    self.activity.retire();
                }
                is_good
            }
        }
    }

    /// What is told of the requests.
    pub(crate) fn activity(&self) -> Arc<Activity> {
        Arc::clone(&self.activity)
    }
}

impl hyper::service::Service<Request<Incoming>> for Handler {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, request: Request<Incoming>) -> Answering {
        self.activity.note(request.version());
        if has_too_many_headers(&request) {
            return Answering::at_once(status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
        }
        let request = Upload::of(request, &self.app.unfinished);
        let path = request.uri().path();
        if is_guarded(path) && !self.is_admitted() {
            return self.refuse(path);
        }
        if authz::is_door(path) {
            return Answering::at_once(authz::answer(&self.app, &request, self.peer));
        }
        if ext_authz::is_check(path) {
            let answer = ext_authz::check(Arc::clone(&self.app), request, self.peer);
            return Answering::later(async move { answer.await.map(Either::Right) });
        }
        let service = self.service.clone();
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(self.peer));
        Answering::later(async move { service.call(request).await.map(Either::Right) })
    }
}

impl Handler {
    /// The answer to whoever asks a door and is not admitted.
    fn refuse(&self, path: &str) -> Answering {
        let refusal = doors::refuse_without_certificate(&self.app, self.peer);
        if ext_authz::is_check(path) {
            let response = ext_authz::denied(refusal);
            return Answering::AtOnce(ready(Ok(response.map(Either::Right))));
        }
        Answering::at_once(refusal)
    }
}

/// Whether a path is that of a door which may ask for certificates.
fn is_guarded(path: &str) -> bool {
    authz::is_door(path) || ext_authz::is_check(path) || oauth::is_introspection(path)
}

/// In HTTP/1.1 the reader of heads looks after that.
fn has_too_many_headers(request: &Request<Incoming>) -> bool {
    request.version() == Version::HTTP_2 && request.headers().len() > MOST_HEADERS
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = status;
    response
}

/// An answer that is there already, or one that is being made.
pub(crate) enum Answering {
    AtOnce(Ready<Result<Response<Answer>, Infallible>>),
    Later(Pin<Box<dyn Future<Output = Result<Response<Answer>, Infallible>> + Send>>),
}

impl Answering {
    fn at_once(response: Response<Full<Bytes>>) -> Self {
        Self::AtOnce(ready(Ok(response.map(Either::Left))))
    }

    fn later(response: impl Future<Output = Response<Answer>> + Send + 'static) -> Self {
        Self::Later(Box::pin(async move { Ok(response.await) }))
    }
}

impl Future for Answering {
    type Output = Result<Response<Answer>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::AtOnce(answer) => Pin::new(answer).poll(context),
            Self::Later(answer) => answer.as_mut().poll(context),
        }
    }
}
