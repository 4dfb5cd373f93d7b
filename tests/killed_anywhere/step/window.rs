//! What the segments hold, as the traced child has them mapped.

use std::os::unix::fs::FileExt;

/// The segments with one key as the child has them mapped.
pub(super) struct Window {
    id: i32,
    name: String,
    memory: std::fs::File,
    /// Where each is, one mapping for each.
    ranges: Vec<(u64, usize)>,
    seen: Vec<u8>,
    now: Vec<u8>,
}

impl Window {
    pub(super) fn new(id: i32, key: i32) -> Self {
        let mut window = Self {
            id,
            name: format!("/SYSV{key:08x}"),
            memory: std::fs::File::open(format!("/proc/{id}/mem")).expect("a child of ours"),
            ranges: Vec::new(),
            seen: Vec::new(),
            now: Vec::new(),
        };
        window.find();
        window
    }

    fn find(&mut self) {
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", self.id)).expect("maps");
        let mut nodes = Vec::new();
        self.ranges.clear();
        for line in maps.lines().filter(|line| line.contains(&self.name)) {
            let mut words = line.split_whitespace();
            let (from, to) = words
                .next()
                .expect("a range")
                .split_once('-')
                .expect("a range");
            let node = words.nth(3).expect("an inode");
            let parse = |text| u64::from_str_radix(text, 16).expect("an address");
            if !nodes.contains(&node) {
                nodes.push(node);
                self.ranges
                    .push((parse(from), (parse(to) - parse(from)) as usize));
            }
        }
        self.now = vec![0; self.ranges.iter().map(|range| range.1).sum()];
        self.look();
    }

    /// After a system call: it may have attached or detached one.
    pub(super) fn follow(&mut self, call: libc::c_long) {
        if [libc::SYS_shmat, libc::SYS_shmdt].contains(&call) {
            self.find();
        }
    }

    fn look(&mut self) {
        let mut at = 0;
        for &(from, length) in &self.ranges {
            let part = &mut self.now[at..at + length];
            self.memory
                .read_exact_at(part, from)
                .expect("a mapping of the child's");
            at += length;
        }
        std::mem::swap(&mut self.seen, &mut self.now);
        self.now.resize(self.seen.len(), 0);
    }

    pub(super) fn has_changed(&mut self) -> bool {
        self.look();
        self.seen != self.now
    }
}
