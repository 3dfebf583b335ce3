//! The page to try: two panes that chat over the gateway. On while listening on loopback only.

use super::Response;
use super::head::Head;

/// What the page is allowed: its own scripts and styles, and connections.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ws: wss:; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Path, content type and content of each file. They are compiled in: one binary is enough.
const FILES: &[(&str, &str, &str)] = &[
    ("/", "text/html; charset=utf-8", include_str!("../../assets/index.html")),
    ("/page.css", "text/css; charset=utf-8", include_str!("../../assets/page.css")),
    ("/page.js", "text/javascript; charset=utf-8", include_str!("../../assets/page.js")),
    ("/tidegate.js", "text/javascript; charset=utf-8", include_str!("../../../../docs/examples/tidegate.js")),
];

/// The file at a path; none if there is none.
pub(super) fn file(head: &Head) -> Option<Response> {
    let (_, content_type, content) = FILES.iter().find(|(path, ..)| *path == head.path())?;
    let response = match head.method() {
        "GET" | "HEAD" => Response::new(200, content_type, *content)
            .with("Content-Security-Policy", POLICY)
            .with("X-Content-Type-Options", "nosniff")
            .with("Referrer-Policy", "no-referrer")
            .with("Cache-Control", "no-cache"),
        _ => Response::text(405, "only GET and HEAD").with("Allow", "GET, HEAD"),
    };
    Some(if head.method() == "HEAD" { response.without_body() } else { response })
}
