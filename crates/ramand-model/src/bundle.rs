//! A bundle's folder: read and checked to the last hash and shape, or written whole.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use onnx_gradient::geometry::reaches;
use onnx_gradient::onnx::ModelProto;
use onnx_gradient::{GradientError, Graph, proto};
use ramand_core::failure::{Failure, Kind};
use ramand_core::hex::hex;
use ramand_core::npy::{NpyError, Table};
use ramand_core::outcome::ModelIdentity;
use sha2::{Digest, Sha256};

use super::applicability::GateTables;
use super::manifest::{CompletenessRecord, MANIFEST_BYTES_MAX, Manifest, ManifestError};

/// The file that names all others.
const MANIFEST: &str = "manifest.toml";
/// An ONNX file for the edge: networks for spectra have some 100 kB.
pub const ONNX_BYTES_MAX: u64 = 16 << 20;
/// Arrays and tables: the gate of a wide axis has a few MB.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Bytes read at a time.
const CHUNK_BYTES: usize = 64 << 10;
/// How far a value of the manifest may be from what the files say: it was rounded to f32 on the way.
const REFERENCE_ERROR_MAX: f64 = 1e-3;

/// Why a folder is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A file cannot be read.
    #[error("failed to read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("failed to write {}", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Not a regular file.
    #[error("{} is not a file", path.display())]
    NotAFile { path: PathBuf },
    /// More bytes than such a file has.
    #[error("{} has more than {limit} bytes", path.display())]
    TooLarge { path: PathBuf, limit: u64 },
    /// The manifest is no text.
    #[error("{} is not UTF-8", path.display())]
    Encoding { path: PathBuf },
    /// The manifest does not hold together.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A file was changed or damaged after the bundle was made.
    #[error("{}: its SHA-256 is {found}, the manifest says {expected}", path.display())]
    Hash {
        path: PathBuf,
        /// Of the file.
        found: String,
        /// In the manifest.
        expected: String,
    },
    /// An array that is none.
    #[error("{}", path.display())]
    Array {
        path: PathBuf,
        #[source]
        source: NpyError,
    },
    /// A network that is no valid graph.
    #[error("{}", path.display())]
    Network {
        path: PathBuf,
        #[source]
        source: GradientError,
    },
    /// A file that does not fit the manifest.
    #[error("{}: {what} is {found}, the manifest says {expected}", path.display())]
    Mismatch {
        path: PathBuf,
        /// What was compared.
        what: String,
        /// In the file.
        found: String,
        /// In the manifest.
        expected: String,
    },
    /// A bundle never changes.
    #[error("{} exists; a bundle never changes: choose another folder or remove this one", path.display())]
    Exists { path: PathBuf },
    /// The manifest names a file that was not given.
    #[error("the manifest names '{file}', which was not given")]
    Missing { file: String },
    /// A number TOML cannot hold.
    #[error("the manifest cannot be written")]
    Serialize(#[source] toml::ser::Error),
}

impl Failure for BundleError {
    fn kind(&self) -> Kind {
        match self {
            Self::Missing { .. } | Self::Serialize(_) => Kind::Bug,
            _ => Kind::Operator,
        }
    }
}

/// A folder whose every file is what the manifest says.
#[derive(Debug, Clone)]
pub struct Bundle {
    pub folder: PathBuf,
    /// Name, version, and the SHA-256 of the manifest.
    pub identity: ModelIdentity,
    pub manifest: Manifest,
    /// The network, checked against the manifest.
    pub network: ModelProto,
    /// Reference maps, one for each target, [outputs, cells].
    pub references: Vec<Table>,
    /// The gate's arrays.
    pub gate: Option<GateTables>,
    /// Out-of-fold scores.
    pub conformal: Option<Table>,
}

impl Bundle {
    /// Reads and checks a bundle: every hash, every shape, the geometry of every target.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub fn open(folder: &Path) -> Result<Self, BundleError> {
        let path = folder.join(MANIFEST);
        let (bytes, sha256) = read(&path, MANIFEST_BYTES_MAX)?;
        let text = String::from_utf8(bytes).map_err(|_| BundleError::Encoding { path: path.clone() })?;
        let manifest = Manifest::parse(&text, &path)?;
        manifest.pipeline(&path)?;
        let mut kept = BTreeMap::new();
        for (file, expected) in manifest.hashes() {
            let path = folder.join(file);
            let limit = if file == manifest.network.file { ONNX_BYTES_MAX } else { FILE_BYTES_MAX };
            // Files that only document the training are hashed and not kept.
            let (bytes, found) = match manifest.files.contains_key(file) {
                true => (Vec::new(), hash(&path, limit, |_| ())?),
                false => read(&path, limit)?,
            };
            if found != expected {
                return Err(BundleError::Hash { path, found, expected: expected.to_owned() });
            }
            kept.insert(file.to_owned(), bytes);
        }
        let identity = ModelIdentity {
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            sha256,
            claim: manifest.claim.clone(),
        };
        let network = check_network(&folder.join(&manifest.network.file), &manifest, &kept)?;
        let mut references = Vec::new();
        for target in &manifest.network.targets {
            references.push(table(folder, &target.reference, &kept)?);
        }
        check_references(folder, &manifest, &network, &references)?;
        let mut gate = None;
        if let Some(record) = &manifest.gate {
            let shaped = |file: &str, expected: [usize; 2]| {
                let found = table(folder, file, &kept)?;
                same(&folder.join(file), "shape", [found.rows(), found.columns()], expected)?;
                Ok::<_, BundleError>(found)
            };
            let features = manifest.input_channels() * manifest.axis.points;
            gate = Some(GateTables {
                principal: shaped(&record.file, [1 + record.components, features])?,
                scores: record.scores.as_ref().map(|scores| table(folder, &scores.file, &kept)).transpose()?,
                variates: match &record.variates {
                    None => None,
                    Some(of) => {
                        let kinds = [manifest.outputs() * (1 + of.count), of.count];
                        Some([shaped(&of.file, [of.count, features])?, shaped(&of.kinds, kinds)?])
                    }
                },
            });
        }
        let conformal = manifest.conformal.as_ref().map(|scores| table(folder, &scores.file, &kept)).transpose()?;
        Ok(Self { folder: folder.to_owned(), identity, manifest, network, references, gate, conformal })
    }

    /// Writes a new bundle: fills in the hashes, lists files the manifest does not name under `[files]`, writes
    /// everything into a temporary folder beside `folder` and renames it. Returns the bundle's identity.
    ///
    /// # Errors
    /// When the folder exists, a named file is missing, the manifest does not hold together, or writing fails; nothing
    /// half-written is left behind.
    pub fn write(
        folder: &Path,
        mut manifest: Manifest,
        files: &BTreeMap<String, Vec<u8>>,
    ) -> Result<ModelIdentity, BundleError> {
        if folder.exists() {
            return Err(BundleError::Exists { path: folder.to_owned() });
        }
        let sha256 = |file: &str| match files.get(file) {
            Some(bytes) => Ok(hex(&Sha256::digest(bytes))),
            None => Err(BundleError::Missing { file: file.to_owned() }),
        };
        manifest.network.sha256 = sha256(&manifest.network.file)?;
        for target in &mut manifest.network.targets {
            target.reference_sha256 = sha256(&target.reference)?;
        }
        if let Some(gate) = &mut manifest.gate {
            gate.sha256 = sha256(&gate.file)?;
            if let Some(scores) = &mut gate.scores {
                scores.sha256 = sha256(&scores.file)?;
            }
            if let Some(variates) = &mut gate.variates {
                variates.sha256 = sha256(&variates.file)?;
                variates.kinds_sha256 = sha256(&variates.kinds)?;
            }
        }
        if let Some(conformal) = &mut manifest.conformal {
            conformal.sha256 = sha256(&conformal.file)?;
        }
        manifest.files.clear();
        let named: Vec<String> = manifest.hashes().into_keys().map(str::to_owned).collect();
        for file in files.keys().filter(|file| !named.contains(file)) {
            manifest.files.insert(file.clone(), sha256(file)?);
        }
        let path = folder.join(MANIFEST);
        manifest.validate(&path)?;
        manifest.pipeline(&path)?;
        let text = manifest.to_toml().map_err(BundleError::Serialize)?;

        let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| BundleError::Write { path, source }
        };
        fs::create_dir_all(parent).map_err(failed(parent))?;
        let name = format!(".{}.{}", manifest.name, std::process::id());
        let temporary = parent.join(name);
        let written = (|| {
            fs::create_dir(&temporary).map_err(failed(&temporary))?;
            let manifest = (MANIFEST, text.as_bytes());
            for (file, bytes) in files.iter().map(|(file, bytes)| (file.as_str(), bytes.as_slice())).chain([manifest]) {
                let path = temporary.join(file);
                let mut file = File::create_new(&path).map_err(failed(&path))?;
                file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed(&path))?;
            }
            fs::rename(&temporary, folder).map_err(failed(folder))
        })();
        if written.is_err() {
            // The first error is the one to report; a temporary folder that stays is only untidy.
            let _ = fs::remove_dir_all(&temporary);
        }
        written?;
        Ok(ModelIdentity {
            name: manifest.name,
            version: manifest.version,
            sha256: hex(&Sha256::digest(text.as_bytes())),
            claim: manifest.claim,
        })
    }
}

/// Reads a file of at most `limit` bytes, and its SHA-256.
fn read(path: &Path, limit: u64) -> Result<(Vec<u8>, String), BundleError> {
    let mut bytes = Vec::new();
    let sha256 = hash(path, limit, |chunk| bytes.extend_from_slice(chunk))?;
    Ok((bytes, sha256))
}

/// The SHA-256 of a file of at most `limit` bytes, which `see` gets piece by piece.
fn hash(path: &Path, limit: u64, mut see: impl FnMut(&[u8])) -> Result<String, BundleError> {
    let failed = |source| BundleError::Read { path: path.to_owned(), source };
    let metadata = fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(BundleError::NotAFile { path: path.to_owned() });
    }
    let too_large = || BundleError::TooLarge { path: path.to_owned(), limit };
    if metadata.len() > limit {
        return Err(too_large());
    }
    let mut file = File::open(path).map_err(failed)?.take(limit + 1);
    let (mut hasher, mut chunk, mut total) = (Sha256::new(), vec![0; CHUNK_BYTES], 0);
    loop {
        let count = match file.read(&mut chunk) {
            Ok(0) => return Ok(hex(&hasher.finalize())),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(error)),
        };
        total += count as u64;
        if total > limit {
            return Err(too_large());
        }
        hasher.update(&chunk[..count]);
        see(&chunk[..count]);
    }
}

fn table(folder: &Path, file: &str, kept: &BTreeMap<String, Vec<u8>>) -> Result<Table, BundleError> {
    let bytes = kept.get(file).ok_or_else(|| BundleError::Missing { file: file.to_owned() })?;
    Table::read(bytes).map_err(|source| BundleError::Array { path: folder.join(file), source })
}

fn same<T: PartialEq + std::fmt::Debug>(path: &Path, what: &str, found: T, expected: T) -> Result<(), BundleError> {
    if found == expected {
        return Ok(());
    }
    let (found, expected) = (format!("{found:?}"), format!("{expected:?}"));
    Err(BundleError::Mismatch { path: path.to_owned(), what: what.to_owned(), found, expected })
}

/// The graph, after its names, shapes and geometry were found to be the manifest's.
fn check_network(
    path: &Path,
    manifest: &Manifest,
    kept: &BTreeMap<String, Vec<u8>>,
) -> Result<ModelProto, BundleError> {
    let record = &manifest.network;
    let failed = |source| BundleError::Network { path: path.to_owned(), source };
    let bytes = kept.get(&record.file).ok_or_else(|| BundleError::Missing { file: record.file.clone() })?;
    let network = proto::decode(bytes).map_err(failed)?;
    let graph = Graph::new(&network).map_err(failed)?;
    graph.understood().map_err(failed)?;
    let shape = |name: &str| graph.shape(name).map(<[usize]>::to_vec).map_err(failed);
    let (channels, points, outputs) = (manifest.input_channels(), manifest.axis.points, manifest.outputs());
    same(path, "the input", graph.inputs(), std::slice::from_ref(&record.input))?;
    same(path, "the shape of the input", shape(&record.input)?, vec![1, channels, points])?;
    same(path, "the shape of the output", shape(&record.output)?, vec![1, outputs])?;
    let reaches = reaches(&graph, &record.input, 2).map_err(failed)?;
    let targets = record.targets.iter().flat_map(|target| [&target.activation, &target.gradient]);
    for name in targets.chain([&record.output]) {
        if !graph.outputs().contains(name) {
            let expected = format!("'{name}' among them");
            let found = graph.outputs().join(", ");
            let what = "the list of outputs".to_owned();
            return Err(BundleError::Mismatch { path: path.to_owned(), what, found, expected });
        }
    }
    for target in &record.targets {
        let activation = shape(&target.activation)?;
        let &[1, maps, cells] = activation.as_slice() else {
            let what = format!("the shape of '{}'", target.activation);
            let (found, expected) = (format!("{activation:?}"), "[1, maps, cells]".to_owned());
            return Err(BundleError::Mismatch { path: path.to_owned(), what, found, expected });
        };
        same(
            path,
            &format!("the shape of '{}'", target.gradient),
            shape(&target.gradient)?,
            vec![outputs, maps, cells],
        )?;
        let found = reaches.get(&target.activation);
        let found = found.map(|reach| (reach.first_cell(), reach.stride() as f64, reach.receptive_field()));
        let expected = Some((target.first_cell, target.stride, target.receptive_field));
        same(path, &format!("(first cell, stride, receptive field) of '{}'", target.activation), found, expected)?;
    }
    Ok(network)
}

/// Shapes of the reference maps, and that they add up to the reference output where that is exact: Σ over targets and
/// cells = y − b.
fn check_references(
    folder: &Path,
    manifest: &Manifest,
    network: &ModelProto,
    references: &[Table],
) -> Result<(), BundleError> {
    let record = &manifest.network;
    let path = folder.join(&record.file);
    let failed = |source| BundleError::Network { path: path.clone(), source };
    let graph = Graph::new(network).map_err(failed)?;
    let mut sums = record.offset.clone();
    for (target, reference) in record.targets.iter().zip(references) {
        let cells = graph.shape(&target.activation).map_err(failed)?.last().copied().unwrap_or(0);
        let file = folder.join(&target.reference);
        same(&file, "shape", [reference.rows(), reference.columns()], [manifest.outputs(), cells])?;
        for (sum, row) in sums.iter_mut().zip(reference.values().chunks(cells)) {
            *sum += row.iter().map(|&value| f64::from(value)).sum::<f64>();
        }
    }
    if record.completeness == CompletenessRecord::Reported {
        return Ok(());
    }
    for (output, (sum, &expected)) in sums.iter().zip(&manifest.reference.output).enumerate() {
        if (sum - expected).abs() > REFERENCE_ERROR_MAX * expected.abs().max(1.0) {
            let what = format!("the sum of the reference maps plus network.offset, output {output},");
            let (found, expected) = (format!("{sum:.6}"), format!("{expected:.6} in reference.output"));
            return Err(BundleError::Mismatch { path: folder.join(MANIFEST), what, found, expected });
        }
    }
    Ok(())
}
