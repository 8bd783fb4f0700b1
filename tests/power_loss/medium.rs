//! What a medium may hold after the power failed: the calls that change a folder, followed one by one.
//!
//! POSIX promises that the bytes of a file are kept once the file is synced, and its name once its folder is; of
//! everything else each part may be kept or lost.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Calls that change a folder. One that is traced and not followed fails the test.
pub(crate) const CALLS: &str = "openat,write,pwrite64,writev,ftruncate,truncate,copy_file_range,fsync,fdatasync,rename,renameat,renameat2,\
     mkdir,mkdirat,symlink,symlinkat,link,linkat,unlink,unlinkat,rmdir";

type Number = usize;

#[derive(Debug, Clone)]
enum Node {
    /// Files are written from their beginning to their end, once.
    File {
        written: u64,
        synced: u64,
    },
    Link(PathBuf),
    Folder {
        names: BTreeMap<String, Number>,
        synced: BTreeMap<String, Number>,
    },
}

/// One file, link or folder of a state; a file by its number and how many of its bytes are there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Entry {
    File(Number, u64),
    Link(PathBuf),
    Folder,
}

/// How long a file is in a state.
#[derive(Debug, Clone, Copy)]
enum Length {
    /// As at its last sync.
    Synced,
    /// With everything that was written since.
    Written,
}

/// Everything below a folder, by path.
pub(crate) type State = BTreeMap<PathBuf, Entry>;

/// A folder in memory and on the medium, followed from a trace.
#[derive(Debug, Clone)]
pub(crate) struct Medium {
    root: PathBuf,
    nodes: Vec<Node>,
    top: Number,
}

impl Medium {
    /// The folder as it is, all of it on the medium.
    pub(crate) fn new(root: &Path) -> Self {
        let mut medium = Self { root: root.to_owned(), nodes: Vec::new(), top: 0 };
        medium.top = medium.add(root);
        medium
    }

    fn add(&mut self, path: &Path) -> Number {
        let metadata = fs::symlink_metadata(path).expect("it is there");
        let node = if metadata.is_symlink() {
            Node::Link(fs::read_link(path).expect("a link"))
        } else if metadata.is_dir() {
            let mut names = BTreeMap::new();
            for entry in fs::read_dir(path).expect("a folder") {
                let entry = entry.expect("an entry");
                names.insert(entry.file_name().into_string().expect("UTF-8"), self.add(&entry.path()));
            }
            Node::Folder { synced: names.clone(), names }
        } else {
            Node::File { written: metadata.len(), synced: metadata.len() }
        };
        self.push(node)
    }

    fn push(&mut self, node: Node) -> Number {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn find(&self, path: &Path) -> Option<Number> {
        let mut number = self.top;
        for name in path.strip_prefix(&self.root).ok()?.iter() {
            let Node::Folder { names, .. } = &self.nodes[number] else { return None };
            number = *names.get(name.to_str()?)?;
        }
        Some(number)
    }

    fn names_around(&mut self, path: &Path) -> (&mut BTreeMap<String, Number>, String) {
        let around = self.find(path.parent().expect("below the folder")).expect("its folder is there");
        let Node::Folder { names, .. } = &mut self.nodes[around] else { panic!("not in a folder: {path:?}") };
        (names, path.file_name().and_then(|name| name.to_str()).expect("UTF-8").to_owned())
    }

    fn insert(&mut self, path: &Path, number: Number) {
        let (names, name) = self.names_around(path);
        names.insert(name, number);
    }

    fn remove(&mut self, path: &Path) -> Number {
        let (names, name) = self.names_around(path);
        names.remove(&name).unwrap_or_else(|| panic!("{path:?} is not there"))
    }

    /// Takes one call of a trace; whether it changed the folder or the medium.
    pub(crate) fn take(&mut self, call: &Call) -> bool {
        let below: Vec<&PathBuf> = call.paths.iter().filter(|path| path.starts_with(&self.root)).collect();
        let Some(&path) = below.first() else { return false };
        match call.name.as_str() {
            "openat" => {
                if !call.flags.contains("O_CREAT") || self.find(path).is_some() {
                    return false;
                }
                let number = self.push(Node::File { written: 0, synced: 0 });
                self.insert(path, number);
            }
            "write" => {
                let number = self.find(path).expect("an open file");
                let Node::File { written, .. } = &mut self.nodes[number] else { panic!("not a file: {path:?}") };
                *written += call.answer;
            }
            "fsync" | "fdatasync" => {
                let number = self.find(path).expect("an open file or folder");
                match &mut self.nodes[number] {
                    Node::File { written, synced } => *synced = *written,
                    Node::Folder { names, synced } => synced.clone_from(names),
                    Node::Link(_) => panic!("a link is synced"),
                }
            }
            "mkdir" | "mkdirat" => {
                let number = self.push(Node::Folder { names: BTreeMap::new(), synced: BTreeMap::new() });
                self.insert(path, number);
            }
            "symlink" | "symlinkat" => {
                let number = self.push(Node::Link(call.paths[0].clone()));
                self.insert(path, number);
            }
            "rename" | "renameat" | "renameat2" => {
                let number = self.remove(path);
                self.insert(below[1], number);
            }
            "unlink" | "unlinkat" | "rmdir" => {
                self.remove(path);
            }
            other => panic!("the medium does not know {other}"),
        }
        true
    }

    /// Every state the medium may be in now. The first holds only what was synced.
    pub(crate) fn states(&self) -> Vec<State> {
        let differs = |node: &Node| matches!(node, Node::Folder { names, synced } if names != synced);
        let unsynced: Vec<Number> = (0..self.nodes.len()).filter(|&number| differs(&self.nodes[number])).collect();
        let mut states = Vec::new();
        for kept in 0..1_u32 << unsynced.len() {
            let keeps =
                |number: Number| unsynced.iter().position(|&at| at == number).is_some_and(|at| kept >> at & 1 == 1);
            for length in [Length::Synced, Length::Written] {
                let mut state = State::new();
                self.walk(self.top, Path::new(""), &keeps, length, &mut state);
                states.push(state);
            }
        }
        states
    }

    fn walk(&self, at: Number, path: &Path, keeps: &dyn Fn(Number) -> bool, length: Length, state: &mut State) {
        let entry = match &self.nodes[at] {
            Node::File { written, synced } => match length {
                Length::Synced => Entry::File(at, *synced),
                Length::Written => Entry::File(at, *written),
            },
            Node::Link(target) => Entry::Link(target.clone()),
            Node::Folder { names, synced } => {
                for (name, &number) in if keeps(at) { names } else { synced } {
                    self.walk(number, &path.join(name), keeps, length, state);
                }
                Entry::Folder
            }
        };
        state.insert(path.to_owned(), entry);
    }

    /// The bytes of every file that is in the folder now, by number: all changes were taken.
    pub(crate) fn contents(&self) -> BTreeMap<Number, Vec<u8>> {
        let mut state = State::new();
        self.walk(self.top, Path::new(""), &|_| true, Length::Written, &mut state);
        let read = |path: PathBuf| fs::read(self.root.join(path)).expect("it is there");
        let file = |(path, entry)| if let Entry::File(number, _) = entry { Some((number, read(path))) } else { None };
        state.into_iter().filter_map(file).collect()
    }
}

/// Makes a state a folder. Of files that were removed later only their length is known.
pub(crate) fn write(state: &State, contents: &BTreeMap<Number, Vec<u8>>, folder: &Path) {
    for (path, entry) in state {
        let path = folder.join(path);
        match entry {
            Entry::Folder => fs::create_dir_all(&path).expect("a folder"),
            Entry::Link(target) => symlink(target, &path).expect("a link"),
            Entry::File(number, length) => {
                let length = usize::try_from(*length).expect("small");
                let bytes = contents.get(number).map_or_else(|| vec![0; length], |bytes| bytes[..length].to_vec());
                fs::write(&path, bytes).expect("written");
            }
        }
    }
}

/// A call that succeeded.
#[derive(Debug, Default)]
pub(crate) struct Call {
    name: String,
    paths: Vec<PathBuf>,
    flags: String,
    answer: u64,
}

impl Call {
    /// Whether it puts a path that ends so onto the medium.
    pub(crate) fn syncs(&self, path: &str) -> bool {
        matches!(self.name.as_str(), "fsync" | "fdatasync") && self.paths.iter().any(|synced| synced.ends_with(path))
    }
}

/// Reads what `strace -f -y -s 0 -o FILE` wrote.
pub(crate) fn calls(trace: &str) -> Vec<Call> {
    let mut begun: BTreeMap<&str, String> = BTreeMap::new();
    let mut found = Vec::new();
    for line in trace.lines() {
        let (process, text) = line.split_once(' ').expect("a process number");
        let text = text.trim_start();
        if let Some(beginning) = text.strip_suffix(" <unfinished ...>") {
            begun.insert(process, beginning.to_owned());
        } else if let Some((_, end)) = text.split_once(" resumed>") {
            found.extend(call(&(begun.remove(process).expect("it was begun") + end)));
        } else {
            found.extend(call(text));
        }
    }
    found
}

fn call(text: &str) -> Option<Call> {
    let (before, answer) = text.rsplit_once(" = ")?;
    let answer = answer.split([' ', '<']).next()?.parse().ok()?;
    let (name, arguments) = before.trim_end().strip_suffix(')')?.split_once('(')?;
    let mut call = Call { name: name.to_owned(), answer, ..Call::default() };
    // A descriptor is followed by its path: the base of a relative one that comes next, or what is written and synced.
    let mut base: Option<PathBuf> = None;
    for argument in arguments.split(", ") {
        if let Some(path) = argument.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            call.paths.push(base.take().unwrap_or_default().join(path));
        } else if let Some((_, path)) = argument.strip_suffix('>').and_then(|rest| rest.split_once('<')) {
            base = Some(path.into());
        } else {
            call.flags.push_str(argument);
        }
    }
    call.paths.extend(base);
    Some(call)
}
