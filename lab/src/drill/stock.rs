//! What the servers of a drill give away: files of random bytes, in one folder or, where copies differ, in many.

use super::{
    harm::rude::{LARGE, LARGE_SIZE},
    question::StockFile,
    scene::Scene,
};
use crate::process::ServerPlan;
use anyhow::Context;
use protocol::value::to_hex;
use sha2::{Digest, Sha256};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// What a server is started with, and the files with which it is started again if these are others.
pub(super) type Prepared = (ServerPlan, Option<PathBuf>);

/// Makes the folders and files of the servers, and says what is in them.
pub(super) fn prepare(folder: &Path, scene: &Scene) -> anyhow::Result<(Vec<Prepared>, Vec<StockFile>)> {
    let folders = folders(folder, scene);
    let prepared = |at: usize| {
        let (id, processing_time, capacity) = ((at + 1).to_string(), scene.processing_time, scene.capacity);
        let files = folders[at % folders.len()].clone();
        let other = scene.copies_differ.then(|| folders[scene.servers + at].clone());
        (ServerPlan { id, processing_time, capacity, files }, other)
    };
    let stock = |number: usize| -> anyhow::Result<StockFile> {
        let name = format!("drill-{number}.bin");
        let write = |(variant, folder): (usize, &PathBuf)| {
            fs::create_dir_all(folder)?;
            write_file(&folder.join(&name), scene.file_size, (number * 1_000 + variant) as u64)
        };
        let digests = folders.iter().enumerate().map(write).collect::<Result<_, _>>()?;
        Ok(StockFile { name, digests })
    };
    let stock = (0..scene.files).map(stock).collect::<Result<_, _>>().context("The drill's files cannot be written")?;
    fs::create_dir_all(&folders[0])?;
    if scene.large_file {
        write_file(&folders[0].join(LARGE), LARGE_SIZE, 1)?;
    }
    Ok(((0..scene.servers).map(prepared).collect(), stock))
}

/// One folder for all, or, where copies differ, two for each server: first those with which they are started, then
/// those with which they are started again.
fn folders(folder: &Path, scene: &Scene) -> Vec<PathBuf> {
    let count = if scene.copies_differ { scene.servers * 2 } else { 1 };
    (1..=count).map(|number| folder.join(format!("files-{number}"))).collect()
}

/// Writes random bytes, the same for the same seed, and returns their digest.
fn write_file(path: &Path, size: usize, seed: u64) -> std::io::Result<String> {
    let mut bytes = vec![0; size];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    fs::write(path, &bytes)?;
    Ok(to_hex(&Sha256::digest(&bytes)))
}
