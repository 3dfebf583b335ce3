//! A node with the echo door, `/echo`, for conformance suites: `echo serve [--listen A] [--admin A] [--config F]`.
//!
//! Takes settings and says where it is as the product does, so the testkit starts it in the same way; runs until it is
//! killed. It is built with the feature `echo` only, which no crate may switch on.
#![allow(clippy::print_stdout, reason = "whoever started it reads where it is")]

use anyhow::{Context, Result, bail};
use tidegate_gateway::Gateway;
use tidegate_gateway::settings::Sources;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() != Some("serve") {
        bail!("usage: echo serve [--listen ADDRESS] [--admin ADDRESS] [--config FILE]");
    }
    let mut sources = Sources::default();
    while let Some(flag) = arguments.next() {
        let value = arguments.next().with_context(|| format!("{flag} needs a value"))?;
        match flag.as_str() {
            "--listen" => sources.flags.push(("server.listen".to_owned(), value)),
            "--admin" => sources.flags.push(("server.admin".to_owned(), value)),
            "--config" => sources.file = Some(value.into()),
            _ => bail!("{flag} is no flag of this program"),
        }
    }
    let gateway = Gateway::start(sources.load()?).await?;
    for address in &gateway.addresses().public {
        println!("echo     ws://{address}/echo");
        println!("native   ws://{address}/ws");
    }
    println!("admin    http://{}", gateway.addresses().admin);
    gateway.run(CancellationToken::new()).await;
    Ok(())
}
