//! `kiln serve`.

mod answer;
mod body;
mod connection;
mod routes;
mod server;

use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use anyhow::{Context as _, Result};
use kiln::io::printable;

use crate::interrupt::{self, Stop};
use crate::model::DeviceArgs;
use crate::outputs::say;
use crate::trained::Trained;
use crate::unpacked::{UnpackedArgs, size};
use routes::Routes;
use server::Server;

const EXAMPLES: &str = "\
Paths:
  GET  /         a page to try the model by hand
  GET  /model    what the model takes and gives, as JSON
  GET  /health   {\"status\":\"ok\"}
  POST /predict  one record or a list of records of a table, {\"column\": value}; one sample or a list of samples, in lists of
                 numbers; or a PNG or JPEG as it is, with ?invert=true of ink on paper and ?fit=true to make it as MNIST's are

An answer has the class, its probability and those of all classes, or values by name; to a list it is a list. What is wrong is
{\"error\": ...} with a status of 400, 404, 405, 413 or 415. SIGTERM and Ctrl-C end the server when what is under way is answered.

Examples:
  kiln serve animals.safetensors
  curl localhost:8080/predict -H 'content-type: application/json' -d '{\"legs\": 4, \"skin\": \"bare\"}'
  curl localhost:8080/predict -H 'content-type: image/png' --data-binary @seven.png
  kiln serve mnist.safetensors --port 0 --device cpu";

/// Answer over HTTP what a saved model gives for records, pictures or numbers, with a page to try it
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A file of `kiln train --save`, or a .keras
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The port to listen to; 0 takes a free one, which is printed
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    port: u16,

    /// The address to listen to; 0.0.0.0 is every one of this machine
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    host: IpAddr,

    /// The most bytes of a body, or such as 4M
    #[arg(long, value_name = "SIZE", default_value = "8M", value_parser = size)]
    max_body: u64,

    #[command(flatten)]
    place: DeviceArgs,

    #[command(flatten)]
    packed: UnpackedArgs,
}

pub fn run(args: &Args) -> Result<()> {
    let model = Trained::load(&args.file, &args.place, args.packed.max_unpacked, "serve")?;
    let name = args.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let routes = Arc::new(Routes::new(model, &name, usize::try_from(args.max_body)?));
    let asked = SocketAddr::new(args.host, args.port);
    let busy = |e: io::Error| {
        let advice = if e.kind() == io::ErrorKind::AddrInUse {
            "; another program listens there: give another --port"
        } else {
            ""
        };
        anyhow::anyhow!("cannot listen to {asked}: {e}{advice}")
    };
    let listener = TcpListener::bind(asked).map_err(busy)?;
    let address = listener.local_addr().context("the listener has no address")?;
    let stop = Stop::on_signals()?;
    if !args.host.is_loopback() {
        say("anybody who reaches this machine can ask the model: there is no password and no encryption");
    }
    writeln!(io::stdout(), "{} is served at http://{address}; Ctrl-C ends it", printable(&name))?;
    io::stdout().flush()?;
    let server = Arc::new(Server::default());
    let ended = server.clone();
    thread::spawn(move || {
        stop.wait();
        ended.end(address);
        // Whoever does not wait for the answers under way.
        interrupt::end(stop.wait())
    });
    let cut = server.run(listener, &(routes as _));
    if cut > 0 {
        say(format_args!("{cut} requests had not arrived as a whole, and were not answered"));
    }
    Ok(())
}
