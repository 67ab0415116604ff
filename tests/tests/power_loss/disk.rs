//! A model of what a disk may hold when the power goes: what was synced, and any of the rest.
//!
//! Of a file, a sync writes content and mode; of a directory, names and mode; neither writes
//! anything of another. Between two syncs everything is written in any order or not at all, names
//! before the content that they name among it. What is taken for granted, as journals, logs and
//! checkpoints keep it: a rename is one change, and changes of one name, or of the names of one
//! file, reach the disk in their order.

use std::collections::{BTreeMap, HashSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::{fmt, fs};

/// Up to so many changes that are not synced, every subset is tried: 1,024 of them.
const EXHAUSTIVE: usize = 10;
/// Of more: none, all, each alone, all but each, and so many others.
const SAMPLES: usize = 24;

/// Changes, a bit for each.
pub(crate) type Set = u128;

/// An index into [`Disk::nodes`].
pub(crate) type Node = usize;

/// What a file, directory or symlink is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Directory(BTreeMap<String, Node>),
    File(Vec<u8>),
    Symlink(PathBuf),
}

#[derive(Debug, Clone)]
pub(crate) struct Inode {
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
}

/// A name in a directory.
pub(crate) type Place = (Node, String);

#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// A name for a node.
    Link(Place, Node),
    Unlink(Place, Node),
    Rename(Place, Place, Node),
    Append(Node, Vec<u8>),
    Truncate(Node),
    Mode(Node, u32),
}

#[derive(Debug, Clone)]
pub(crate) enum Event {
    Change(Change),
    /// Of one node, or of everything; and how to call it.
    Sync(Option<Node>, String),
    /// A client was told that its init succeeded.
    Answered,
}

/// What may have become of content that was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Damage {
    None,
    /// The first half of each piece.
    Torn,
    /// The length without the bytes.
    Zeroed,
}

/// A tree as it is found: path to content and mode.
pub(crate) type Tree = BTreeMap<PathBuf, Found>;

#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum Found {
    Directory(u32),
    File(u32, Vec<u8>),
    Symlink(PathBuf),
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Found::Directory(mode) => write!(f, "{mode:o}/"),
            Found::File(mode, content) => {
                write!(f, "{mode:o} {:?}", String::from_utf8_lossy(content))
            }
            Found::Symlink(target) => write!(f, "-> {}", target.display()),
        }
    }
}

/// A disk, what was done to it, and when it was synced.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    /// Everything that ever was, as it was made; only the first ones have names from the start.
    nodes: Vec<Inode>,
    pub(crate) events: Vec<Event>,
}

const ROOT: Node = 0;

impl Disk {
    /// One that holds `tree`, all of it synced.
    pub(crate) fn holding(tree: &Tree) -> Self {
        let root = Inode {
            kind: Kind::Directory(BTreeMap::new()),
            mode: 0o755,
        };
        let mut disk = Disk {
            nodes: vec![root],
            events: Vec::new(),
        };
        for (path, found) in tree {
            let (kind, mode) = match found.clone() {
                Found::Directory(mode) => (Kind::Directory(BTreeMap::new()), mode),
                Found::File(mode, content) => (Kind::File(content), mode),
                Found::Symlink(target) => (Kind::Symlink(target), 0o777),
            };
            let (dir, name) = disk.place(&disk.nodes, path).expect("parents come first");
            let node = disk.make(kind, mode);
            names(&mut disk.nodes, dir).insert(name, node);
        }
        disk
    }

    /// Something new, which has no name yet.
    pub(crate) fn make(&mut self, kind: Kind, mode: u32) -> Node {
        self.nodes.push(Inode { kind, mode });
        self.nodes.len() - 1
    }

    /// All that was done so far.
    pub(crate) fn now(&self) -> Vec<Inode> {
        let mut nodes = self.nodes.clone();
        for event in &self.events {
            if let Event::Change(change) = event {
                apply(&mut nodes, change, Damage::None);
            }
        }
        nodes
    }

    /// What stands there when all that was done is seen.
    pub(crate) fn tree(&self) -> Tree {
        tree_of(&self.now())
    }

    /// The same, at each moment after its first event that `begins`: what it held by then.
    pub(crate) fn moments(&self, begins: impl Fn(&Event) -> bool) -> Vec<Disk> {
        let first = self.events.iter().position(begins).expect("such an event");
        let until = |end| Disk {
            nodes: self.nodes.clone(),
            events: self.events[..=end].to_vec(),
        };
        (first..self.events.len()).map(until).collect()
    }

    /// What `path` names among `nodes`.
    pub(crate) fn find(&self, nodes: &[Inode], path: &Path) -> Option<Node> {
        path.components().try_fold(ROOT, |dir, name| {
            let Kind::Directory(names) = &nodes[dir].kind else {
                return None;
            };
            names.get(name.as_os_str().to_str()?).copied()
        })
    }

    /// The directory and the name that `path` is.
    pub(crate) fn place(&self, nodes: &[Inode], path: &Path) -> Option<Place> {
        let dir = self.find(nodes, path.parent()?)?;
        Some((dir, path.file_name()?.to_str()?.to_owned()))
    }

    /// Calls `judge` with every crash that there may be, until it gives something. `without` is
    /// an event that is left out, to see whether a sync is needed.
    pub(crate) fn crashes<T>(
        &self,
        without: Option<usize>,
        mut judge: impl FnMut(&Crash<'_>) -> Option<T>,
    ) -> Option<T> {
        let changes = self.changes();
        let before = closures(&changes);
        let closure = |set: Set| -> Set { members(set).fold(set, |set, n| set | before[n]) };
        let contents = (0..changes.len()).filter(|&n| matches!(changes[n], Change::Append(..)));
        let contents = contents.fold(0, |set, n| set | 1 << n);
        let mut seen = HashSet::new();
        let (mut durable, mut made, mut answered) = (0, 0, false);
        for (index, event) in self.events.iter().enumerate() {
            match event {
                Event::Change(_) => made += 1,
                Event::Sync(node, _) if Some(index) != without => {
                    let synced = |&n: &usize| node.is_none_or(|node| changes[n].is_synced_by(node));
                    let now = (0..made)
                        .filter(synced)
                        .fold(durable, |set, n| set | 1 << n);
                    durable = closure(now);
                }
                Event::Sync(..) => {}
                Event::Answered => answered = true,
            }
            // Without a sync, nothing is different before it.
            if without.is_some_and(|without| index < without) {
                continue;
            }
            let open: Vec<usize> = (0..made).filter(|n| durable >> n & 1 == 0).collect();
            let next = self.events.get(index + 1);
            for subset in subsets(&open, matches!(next, Some(Event::Change(_)))) {
                let on_disk = closure(durable | subset);
                let unsafe_contents = on_disk & !durable & contents;
                for damage in [Damage::None, Damage::Torn, Damage::Zeroed] {
                    let damaged = match damage {
                        Damage::None => 0,
                        _ if unsafe_contents == 0 => continue,
                        _ => unsafe_contents,
                    };
                    let crash = Crash {
                        disk: self,
                        key: (on_disk, damaged, damage),
                        answered,
                    };
                    if seen.insert((crash.key, answered))
                        && let Some(told) = judge(&crash)
                    {
                        return Some(told);
                    }
                }
            }
        }
        None
    }

    fn changes(&self) -> Vec<&Change> {
        let changes = self.events.iter().filter_map(|event| match event {
            Event::Change(change) => Some(change),
            _ => None,
        });
        changes.collect()
    }
}

/// A loss of power.
pub(crate) struct Crash<'a> {
    disk: &'a Disk,
    /// Which changes are on the disk, which of them without their content, and what is there
    /// instead. The same key is the same tree.
    pub(crate) key: (Set, Set, Damage),
    /// Whether the client had its answer by then.
    pub(crate) answered: bool,
}

impl Crash<'_> {
    /// What is found on the disk.
    pub(crate) fn tree(&self) -> Tree {
        let (on_disk, damaged, damage) = self.key;
        let mut nodes = self.disk.nodes.clone();
        for (n, change) in self.disk.changes().into_iter().enumerate() {
            if on_disk >> n & 1 == 1 {
                let is_damaged = damaged >> n & 1 == 1;
                let damage = if is_damaged { damage } else { Damage::None };
                apply(&mut nodes, change, damage);
            }
        }
        tree_of(&nodes)
    }
}

impl Change {
    fn is_synced_by(&self, node: Node) -> bool {
        match self {
            Change::Link((dir, _), _) | Change::Unlink((dir, _), _) => *dir == node,
            Change::Rename((from, _), (to, _), _) => *from == node || *to == node,
            Change::Append(of, _) | Change::Truncate(of) | Change::Mode(of, _) => *of == node,
        }
    }

    /// Names and nodes whose changes reach the disk in their order.
    fn touches(&self) -> (Vec<&Place>, Option<Node>) {
        match self {
            Change::Link(at, node) | Change::Unlink(at, node) => (vec![at], Some(*node)),
            Change::Rename(from, to, node) => (vec![from, to], Some(*node)),
            Change::Append(..) | Change::Truncate(_) | Change::Mode(..) => (vec![], None),
        }
    }
}

/// For each change, itself and what must be on disk before it.
fn closures(changes: &[&Change]) -> Vec<Set> {
    assert!(
        changes.len() < Set::BITS as usize,
        "{} changes",
        changes.len()
    );
    let mut closures: Vec<Set> = Vec::new();
    for (n, change) in changes.iter().enumerate() {
        let (places, node) = change.touches();
        let depends = |earlier: &Change| {
            let (other_places, other_node) = earlier.touches();
            let same_name = places.iter().any(|place| other_places.contains(place));
            same_name || node.is_some() && node == other_node
        };
        let earlier = (0..n).filter(|&earlier| depends(changes[earlier]));
        closures.push(earlier.fold(1 << n, |set, earlier| set | closures[earlier]));
    }
    closures
}

fn members(set: Set) -> impl Iterator<Item = usize> {
    (0..Set::BITS as usize).filter(move |n| set >> n & 1 == 1)
}

/// What of `open` may be on the disk. Of many, not every subset is tried, and those that another
/// change will follow are left to the moment after it, but for none and all.
fn subsets(open: &[usize], goes_on: bool) -> Vec<Set> {
    let pick = |bits: u64| -> Set {
        let chosen = open
            .iter()
            .enumerate()
            .filter(|(n, _)| bits >> (n % 64) & 1 == 1);
        chosen.fold(0, |set, (_, change)| set | 1 << change)
    };
    if open.len() <= EXHAUSTIVE {
        return (0..1 << open.len()).map(pick).collect();
    }
    let all = pick(u64::MAX);
    let mut subsets = vec![0, all];
    if goes_on {
        return subsets;
    }
    for one in open {
        subsets.push(1 << one);
        subsets.push(all & !(1 << one));
    }
    // Marsaglia's xorshift: the same ones each time.
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..SAMPLES {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        subsets.push(pick(random));
    }
    subsets
}

fn names(nodes: &mut [Inode], dir: Node) -> &mut BTreeMap<String, Node> {
    match &mut nodes[dir].kind {
        Kind::Directory(names) => names,
        other => panic!("no directory: {other:?}"),
    }
}

fn apply(nodes: &mut [Inode], change: &Change, damage: Damage) {
    match change {
        Change::Link((dir, name), node) => {
            names(nodes, *dir).insert(name.clone(), *node);
        }
        Change::Unlink((dir, name), node) => remove(nodes, *dir, name, *node),
        Change::Rename((from, old), (to, new), node) => {
            remove(nodes, *from, old, *node);
            names(nodes, *to).insert(new.clone(), *node);
        }
        Change::Append(node, bytes) => {
            if let Kind::File(content) = &mut nodes[*node].kind {
                match damage {
                    Damage::None => content.extend(bytes),
                    Damage::Torn => content.extend(&bytes[..bytes.len() / 2]),
                    Damage::Zeroed => content.extend(vec![0; bytes.len()]),
                }
            }
        }
        Change::Truncate(node) => nodes[*node].kind = Kind::File(Vec::new()),
        Change::Mode(node, mode) => nodes[*node].mode = *mode,
    }
}

fn remove(nodes: &mut [Inode], dir: Node, name: &str, node: Node) {
    let names = names(nodes, dir);
    if names.get(name) == Some(&node) {
        names.remove(name);
    }
}

fn tree_of(nodes: &[Inode]) -> Tree {
    let mut tree = Tree::new();
    let mut open = vec![(PathBuf::new(), ROOT)];
    while let Some((path, node)) = open.pop() {
        let mode = nodes[node].mode;
        let found = match &nodes[node].kind {
            Kind::Directory(names) => {
                open.extend(names.iter().map(|(name, &node)| (path.join(name), node)));
                Found::Directory(mode)
            }
            Kind::File(content) => Found::File(mode, content.clone()),
            Kind::Symlink(target) => Found::Symlink(target.clone()),
        };
        tree.insert(path, found);
    }
    tree.remove(Path::new(""));
    tree
}

/// What stands below `dir`.
pub(crate) fn read(dir: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).expect("a directory") {
            let path = entry.expect("an entry").path();
            let metadata = fs::symlink_metadata(&path).expect("metadata");
            let mode = metadata.permissions().mode() & 0o7777;
            let found = if metadata.is_symlink() {
                Found::Symlink(fs::read_link(&path).expect("a symlink"))
            } else if metadata.is_dir() {
                open.push(path.clone());
                Found::Directory(mode)
            } else {
                Found::File(mode, fs::read(&path).expect("a file"))
            };
            let path = path.strip_prefix(dir).expect("below it").to_path_buf();
            tree.insert(path, found);
        }
    }
    tree
}

/// Makes `tree` below `dir`.
pub(crate) fn write(tree: &Tree, dir: &Path) {
    for (path, found) in tree {
        let path = dir.join(path);
        let mode = match found {
            Found::Symlink(target) => {
                std::os::unix::fs::symlink(target, &path).expect("a symlink");
                continue;
            }
            Found::Directory(mode) => {
                fs::create_dir(&path).expect("a directory");
                mode
            }
            Found::File(mode, content) => {
                fs::write(&path, content).expect("a file");
                mode
            }
        };
        fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).expect("a mode");
    }
}
