//! `serve`: the broker for members with accounts of their own, on this machine or others.

use super::context::Context;
use super::failure::Failure;
use crate::api::ServeOptions;
use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    /// Listen at a Unix socket, for other accounts of this machine
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Let only this group use the socket, by name or number
    #[arg(long, value_name = "GROUP", requires = "socket")]
    socket_group: Option<String>,
    /// Listen for HTTPS, for other machines
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
    /// Use this certificate chain (PEM) instead of the vault's own
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Use this key (PEM) instead of the vault's own
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Where members reach it from outside; may be given more than once
    #[arg(long, value_name = "URL")]
    public: Vec<String>,
    /// Give metrics to Prometheus at an address of this machine alone
    #[arg(long, value_name = "ADDR:PORT")]
    metrics: Option<SocketAddr>,
    /// How many requests a second one member may make for long; twenty times as many at once [default: 100]
    #[arg(long, value_name = "NUMBER")]
    pace: Option<u32>,
}

/// Serves until the process is told to stop.
///
/// # Errors
/// Usage where nothing is said to listen at, or this is not the broker's machine.
pub fn serve(context: &mut Context<'_, '_>, args: Args) -> Result<(), Failure> {
    if args.socket.is_none() && args.listen.is_none() {
        return Err(Failure::usage("say where to listen: --socket PATH, --listen ADDR:PORT, or both"));
    }
    let places = context.vault_places()?;
    let absolute = |path: Option<PathBuf>| path.map(std::path::absolute).transpose();
    let options = ServeOptions {
        socket: absolute(args.socket)?,
        socket_group: args.socket_group,
        listen: args.listen,
        tls: args.tls_cert.zip(args.tls_key),
        public: args.public,
        metrics: args.metrics,
        pace: args.pace,
    };
    Ok(context.edge.host.serve(&places, options)?)
}
