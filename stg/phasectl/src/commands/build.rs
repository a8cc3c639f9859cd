// SPDX-License-Identifier: GPL-2.0-only

//! `phasectl build`.

use std::io::Write;

use ci::kbuild::KernelImage;
use serde::Serialize;
use stg_core::Stack;
use stg_env::exit;

use crate::app::App;
use crate::kernels::{Made, Which};
use crate::lab::{BUILD, Lab};
use crate::{names, output};

/// Assemble a phase or a patch, and build its kernel.
///
/// What is missing on the machine is installed, and the base fetched, if need be. A kernel that was built before is found
/// in the cache. Exits with 101 if it does not build, and names the patch whose line is to blame.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to build: PHASE for its end, PHASE/PATCH for the state at a patch.
    target: String,

    /// Switch the phase's gates off.
    #[arg(long)]
    gate_off: bool,

    /// Configure it as this variant (selftests/variants.yaml).
    #[arg(long, value_name = "NAME")]
    variant: Option<String>,

    /// Report as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct View<'a> {
    kernel: String,
    built: bool,
    bzimage: &'a str,
    system_map: &'a str,
    config: &'a str,
    log: &'a str,
    warnings: &'a str,
    /// Their directory; none if there are no modules.
    modules: Option<&'a str>,
    #[serde(flatten)]
    meta: &'a ci::kbuild::Meta,
}

pub(crate) fn run(args: &Args, app: &App, out: &mut dyn Write) -> anyhow::Result<i32> {
    let disk = app.disk()?;
    let stack = Stack::load(&disk)?;
    let target = stack.target(&args.target)?;
    names::variant(&disk, args.variant.as_deref())?;
    let made = if args.gate_off { Made::GateOff(target) } else { Made::At(target) };
    let which = Which { made, variant: args.variant.clone() };
    let lab = Lab::open(app, stack, BUILD)?;
    let image = lab.kernel(&which)?;
    if args.json {
        output::json(out, &view(&which, &image))?;
    } else {
        let how = if image.built { format!("built in {} s", image.meta.seconds) } else { "built before".to_owned() };
        writeln!(out, "{} at {}: {how}", which.label(), image.meta.commit)?;
        writeln!(out, "kernel   {}\nconfig   {}\nlog      {}", image.bzimage, image.config, image.log)?;
        // Not how many: that depends on what was compiled before, and most are the base's own.
        writeln!(out, "warnings {}", image.warnings)?;
        if let Some(modules) = &image.modules {
            writeln!(out, "modules  {modules}")?;
        }
        if !image.meta.left_out.is_empty() {
            writeln!(out, "not there yet: {}", image.meta.left_out.join(", "))?;
        }
    }
    Ok(exit::OK)
}

fn view<'a>(which: &Which, image: &'a KernelImage) -> View<'a> {
    View {
        kernel: which.label(),
        built: image.built,
        bzimage: image.bzimage.as_str(),
        system_map: image.system_map.as_str(),
        config: image.config.as_str(),
        log: image.log.as_str(),
        warnings: image.warnings.as_str(),
        modules: image.modules.as_deref().map(camino::Utf8Path::as_str),
        meta: &image.meta,
    }
}
