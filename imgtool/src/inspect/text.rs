//! A report as text.

use std::fmt::{self, Write};

use imgtool_init::config::{Restart, Run};

use crate::spec::ByteSize;

use super::report::{Content, Ext4Report, FatReport, ImageReport, PackReport, PartitionReport};

/// The report as lines of text, for people. What comes from the image has its control characters
/// escaped: a terminal obeys them.
pub fn render(report: &ImageReport) -> String {
    let mut out = String::new();
    // Writing to a String does not fail.
    let _ = image(&mut out, report);
    out
}

/// Text from the image, safe to print.
struct Safe<'a>(&'a str);

impl fmt::Display for Safe<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if c.is_control() {
                write!(f, "{}", c.escape_default())?;
            } else {
                f.write_char(c)?;
            }
        }
        Ok(())
    }
}

fn image(out: &mut String, report: &ImageReport) -> fmt::Result {
    if let Some(said) = &report.pack {
        pack(out, said)?;
    }
    writeln!(out, "size         {}", bytes(report.size))?;
    writeln!(out, "disk GUID    {}", report.disk_guid)?;
    let boots = match (report.boot.bios, report.boot.uefi) {
        (true, true) => "BIOS and UEFI",
        (true, false) => "BIOS",
        (false, true) => "UEFI",
        (false, false) => "neither BIOS nor UEFI",
    };
    writeln!(out, "boots under  {boots}")?;
    if let Some(sha256) = &report.sha256 {
        writeln!(out, "sha256       {sha256}")?;
    }
    if let Some(kernel) = &report.kernel {
        let version = kernel.version.as_deref().unwrap_or("of unknown version");
        writeln!(
            out,
            "kernel       {} in {}",
            Safe(version),
            Safe(&kernel.file)
        )?;
        if let Some(line) = &kernel.command_line {
            writeln!(out, "cmdline      {}", Safe(line))?;
        }
    }
    guest(out, report)?;
    for partition in &report.partitions {
        self::partition(out, partition)?;
    }
    if !report.problems.is_empty() {
        writeln!(out, "\nproblems")?;
        for problem in &report.problems {
            writeln!(out, "  {}", Safe(problem))?;
        }
    }
    Ok(())
}

/// What the manifest of a pack says.
fn pack(out: &mut String, pack: &PackReport) -> fmt::Result {
    writeln!(out, "pack of      {}", Safe(&pack.name))?;
    for record in &pack.packs {
        writeln!(
            out,
            "  digest     {}, {}",
            Safe(&record.digest),
            bytes(record.size)
        )?;
    }
    writeln!(
        out,
        "blocks       {} of data, {} of zeros, {} free, of 512 KiB",
        pack.data_blocks, pack.zero_blocks, pack.free_blocks
    )?;
    writeln!(
        out,
        "snapshot     {} blocks, LINEAR checksum {}",
        pack.snapshot.changed_blocks_count,
        Safe(&pack.snapshot.linear_checksum)
    )?;
    for input in &pack.inputs {
        let sha256 = input.sha256.as_deref().unwrap_or("not digested");
        writeln!(
            out,
            "made from    {} ({}), {}",
            Safe(&input.role),
            Safe(&input.kind),
            Safe(sha256)
        )?;
    }
    Ok(())
}

fn guest(out: &mut String, report: &ImageReport) -> fmt::Result {
    let Some(guest) = &report.guest else {
        return Ok(());
    };
    writeln!(out, "identity     {}", Safe(&guest.identity))?;
    writeln!(out, "host name    {}", Safe(&guest.hostname))?;
    writeln!(
        out,
        "root         partition {}",
        Safe(&guest.root_partition)
    )?;
    writeln!(
        out,
        "grows        {}",
        if guest.grow { "yes" } else { "no" }
    )?;
    match &guest.run {
        Run::Init { path } => writeln!(out, "runs         {} as PID 1", Safe(path)),
        Run::Application(app) => {
            let words: Vec<_> = app.command.iter().map(|word| quoted(word)).collect();
            writeln!(out, "runs         {}", words.join(" "))?;
            let groups: Vec<_> = app.groups.iter().map(u32::to_string).collect();
            write!(out, "  as         {}:{}", app.uid, app.gid)?;
            if !groups.is_empty() {
                write!(out, " and groups {}", groups.join(","))?;
            }
            writeln!(out, ", in {}", Safe(&app.working_directory))?;
            let again = match app.restart {
                Restart::No => "no",
                Restart::OnFailure => "on failure",
                Restart::Always => "always",
            };
            writeln!(out, "  restart    {again}")?;
            if !app.wait_for_network {
                writeln!(out, "  network    is not waited for")?;
            }
            for (name, value) in &app.env {
                writeln!(out, "  env        {}={}", Safe(name), quoted(value))?;
            }
            Ok(())
        }
    }
}

fn partition(out: &mut String, p: &PartitionReport) -> fmt::Result {
    writeln!(
        out,
        "\npartition {}  {:?}, {}, {}",
        p.number,
        p.name,
        p.type_name.unwrap_or(&p.type_guid),
        bytes(p.size)
    )?;
    writeln!(out, "  GUID       {}", p.guid)?;
    writeln!(out, "  LBA        {} to {}", p.first_lba, p.last_lba)?;
    if let Some(sha256) = &p.sha256 {
        writeln!(out, "  sha256     {sha256}")?;
    }
    match &p.content {
        None => Ok(()),
        Some(Content::Fat(report)) => fat(out, report),
        Some(Content::Ext4(report)) => ext4(out, report),
    }
}

fn fat(out: &mut String, report: &FatReport) -> fmt::Result {
    writeln!(
        out,
        "  {}      serial {}, label {:?}, clusters of {} bytes",
        report.variant, report.serial, report.label, report.cluster_size
    )?;
    for file in &report.files {
        if file.path.ends_with('/') {
            writeln!(out, "  {:>12}  {}", "", Safe(&file.path))?;
        } else {
            writeln!(out, "  {:>12}  {}", file.size, Safe(&file.path))?;
        }
    }
    if let Some(uki) = &report.uki {
        writeln!(out, "  UKI {}", Safe(&uki.path))?;
        writeln!(
            out,
            "    {:<10} {:>10} {:>10}  sha256",
            "section", "offset", "size"
        )?;
        for section in &uki.sections {
            writeln!(
                out,
                "    {:<10} {:>#10x} {:>10}  {}",
                Safe(&section.name).to_string(),
                section.offset,
                section.size,
                section.sha256
            )?;
        }
    }
    Ok(())
}

fn ext4(out: &mut String, report: &Ext4Report) -> fmt::Result {
    writeln!(
        out,
        "  ext4       UUID {}, label {:?}",
        report.uuid, report.label
    )?;
    writeln!(
        out,
        "  blocks     {} of {} bytes, {} free",
        report.blocks, report.block_size, report.free_blocks
    )?;
    writeln!(
        out,
        "  inodes     {}, {} free",
        report.inodes, report.free_inodes
    )?;
    match &report.os {
        Some(os) => writeln!(out, "  system     {}", Safe(os)),
        None => Ok(()),
    }
}

fn bytes(n: u64) -> String {
    let exact = ByteSize(n).to_string();
    if exact == format!("{n}B") {
        exact
    } else {
        format!("{exact} ({n} bytes)")
    }
}

/// A word as it is if that is clear, else in quotes.
fn quoted(word: &str) -> String {
    let clear = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\'' | '\\');
    if !word.is_empty() && word.chars().all(clear) {
        word.to_owned()
    } else {
        format!("{word:?}")
    }
}
