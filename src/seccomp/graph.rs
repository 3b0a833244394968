//! Decisions as a graph of word comparisons, in which equal parts are one.
//!
//! A node's successors always have smaller ids than itself.

use super::action::Action;
use super::condition::{Atom, MAX_STEPS, Next, Test, WordCompare};
use super::program::Program;

/// A node of a [`Graph`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeId(u32);

impl NodeId {
    /// Its place in a list with one entry for each node.
    pub(crate) fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// One decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Node {
    /// The answer is known.
    Return(Action),
    /// It depends on a word.
    Test { atom: Atom, yes: NodeId, no: NodeId },
}

impl Node {
    fn bucket(self) -> usize {
        let mixed = match self {
            Self::Return(action) => action.to_ret(),
            Self::Test { atom, yes, no } => {
                let (tag, a, b) = match atom.compare {
                    WordCompare::Masked { mask, value } => (1, mask, value),
                    WordCompare::AtLeast(value) => (2, value, 0),
                };
                [u32::from(atom.word), a, b, yes.0, no.0]
                    .into_iter()
                    .fold(tag, |hash: u32, part| (hash ^ part).wrapping_mul(0x9e37_79b1))
            }
        };
        usize::try_from(mixed.wrapping_mul(0x9e37_79b1) >> 24).unwrap_or_default()
    }
}

/// A list of tests that must all hold, and the answer if they do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arm<'a> {
    pub(crate) tests: &'a [Test],
    pub(crate) action: Action,
}

/// How many comparisons a decision may take while everything known is made use of; beyond that
/// it is built plainly, so that its size follows the size of the profile.
const BUDGET: u32 = 160;

/// All decisions of one program.
#[derive(Debug)]
pub(crate) struct Graph {
    nodes: Vec<Node>,
    roots: Vec<NodeId>,
    /// For each hash, the newest node that has it.
    heads: [Option<NodeId>; BUCKETS],
    /// For each node, the next older one of the same hash.
    older: Vec<Option<NodeId>>,
}

/// A power of two, about as many as an ordinary program has nodes.
const BUCKETS: usize = 256;

impl Default for Graph {
    fn default() -> Self {
        Self {
            nodes: Vec::with_capacity(BUCKETS),
            roots: Vec::new(),
            heads: [None; BUCKETS],
            older: Vec::with_capacity(BUCKETS),
        }
    }
}

impl Graph {
    /// A node by its id.
    pub(crate) fn node(&self, id: NodeId) -> Option<Node> {
        self.nodes.get(id.index()).copied()
    }

    /// Every node, successors before those that lead to them.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (NodeId, Node)> {
        (0..).map(NodeId).zip(self.nodes.iter().copied())
    }

    /// The first nodes of decisions.
    pub(crate) fn roots(&self) -> &[NodeId] {
        &self.roots
    }

    /// For each node, whether any decision needs it: an abandoned walk leaves others behind.
    pub(crate) fn needed(&self) -> Vec<bool> {
        let mut needed = vec![false; self.nodes.len()];
        let mark = |needed: &mut Vec<bool>, id: NodeId| {
            if let Some(slot) = needed.get_mut(id.index()) {
                *slot = true;
            }
        };
        self.roots.iter().for_each(|root| mark(&mut needed, *root));
        for (place, node) in self.nodes.iter().enumerate().rev() {
            if let (Some(true), Node::Test { yes, no, .. }) = (needed.get(place), node) {
                mark(&mut needed, *yes);
                mark(&mut needed, *no);
            }
        }
        needed
    }

    /// How many nodes there are.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The node that answers `action`.
    pub(crate) fn leaf(&mut self, action: Action) -> NodeId {
        self.intern(Node::Return(action))
    }

    /// The node that answers as the first arm does all of whose tests hold, or `otherwise`.
    pub(crate) fn decision(&mut self, arms: &[Arm<'_>], otherwise: Action) -> NodeId {
        let before = self.nodes.len();
        let mut walk = Walk { graph: self, arms, otherwise, facts: Vec::new(), budget: BUDGET };
        let root = match walk.from(Place { arm: 0, test: 0, step: 0 }) {
            Some(node) => node,
            None => {
                self.forget(before);
                self.plain(arms, otherwise)
            }
        };
        self.roots.push(root);
        root
    }

    /// The same without looking back, from the last arm to the first.
    fn plain(&mut self, arms: &[Arm<'_>], otherwise: Action) -> NodeId {
        let mut next = self.leaf(otherwise);
        for arm in arms.iter().rev() {
            let mut node = self.leaf(arm.action);
            for test in arm.tests.iter().rev() {
                node = self.plain_test(*test, node, next);
            }
            next = node;
        }
        next
    }

    fn plain_test(&mut self, test: Test, yes: NodeId, no: NodeId) -> NodeId {
        let mut first = no;
        let mut later = [no; 3];
        for place in (0..MAX_STEPS).rev() {
            let step = test.step(place);
            let target = |next| match next {
                Next::Done(true) => yes,
                Next::Done(false) => no,
                Next::Step(place) => later.get(usize::from(place)).copied().unwrap_or(no),
            };
            let (yes, no) = (target(step.yes), target(step.no));
            first = self.test(step.atom, yes, no);
            if let Some(slot) = later.get_mut(usize::from(place)) {
                *slot = first;
            }
        }
        first
    }

    fn test(&mut self, atom: Atom, yes: NodeId, no: NodeId) -> NodeId {
        match atom.constant() {
            Some(true) => yes,
            Some(false) => no,
            None if yes == no => yes,
            None => self.intern(Node::Test { atom, yes, no }),
        }
    }

    /// Stops one past what a program can hold: whoever asks for the size learns that it is too
    /// much, and nobody waits for more.
    fn intern(&mut self, node: Node) -> NodeId {
        if self.nodes.len() > Program::MAX {
            return NodeId(0);
        }
        let Some(head) = self.heads.get_mut(node.bucket()) else { return NodeId(0) };
        let mut known = *head;
        while let Some(id) = known {
            if self.nodes.get(id.index()) == Some(&node) {
                return id;
            }
            known = self.older.get(id.index()).copied().flatten();
        }
        let id = NodeId(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        self.older.push(head.replace(id));
        self.nodes.push(node);
        id
    }

    /// Forgets the nodes after the first `count`.
    fn forget(&mut self, count: usize) {
        while self.nodes.len() > count {
            let older = self.older.pop().flatten();
            let bucket = self.nodes.pop().map_or(0, Node::bucket);
            if let Some(head) = self.heads.get_mut(bucket) {
                *head = older;
            }
        }
    }
}

/// Where in a list of arms a walk stands.
#[derive(Debug, Clone, Copy)]
struct Place {
    arm: usize,
    test: usize,
    step: u8,
}

impl Place {
    fn then(self, next: Next) -> Self {
        match next {
            Next::Step(step) => Self { step, ..self },
            Next::Done(true) => Self { test: self.test + 1, step: 0, ..self },
            Next::Done(false) => Self { arm: self.arm + 1, test: 0, step: 0 },
        }
    }
}

/// A walk through all outcomes, that asks nothing twice.
struct Walk<'a> {
    graph: &'a mut Graph,
    arms: &'a [Arm<'a>],
    otherwise: Action,
    facts: Vec<(Atom, bool)>,
    budget: u32,
}

impl Walk<'_> {
    /// `None` once the budget is spent; it also bounds the depth of the recursion.
    fn from(&mut self, mut place: Place) -> Option<NodeId> {
        loop {
            let Some(arm) = self.arms.get(place.arm) else {
                return Some(self.graph.leaf(self.otherwise));
            };
            let Some(test) = arm.tests.get(place.test) else {
                return Some(self.graph.leaf(arm.action));
            };
            let step = test.step(place.step);
            match self.known(step.atom) {
                Some(outcome) => place = place.then(if outcome { step.yes } else { step.no }),
                None => {
                    self.budget = self.budget.checked_sub(1)?;
                    let yes = self.assuming(step.atom, true, place.then(step.yes))?;
                    let no = self.assuming(step.atom, false, place.then(step.no))?;
                    return Some(self.graph.test(step.atom, yes, no));
                }
            }
        }
    }

    fn assuming(&mut self, atom: Atom, outcome: bool, place: Place) -> Option<NodeId> {
        self.facts.push((atom, outcome));
        let node = self.from(place);
        self.facts.pop();
        node
    }

    fn known(&self, atom: Atom) -> Option<bool> {
        atom.constant().or_else(|| {
            self.facts.iter().find_map(|(fact, outcome)| atom.implied_by(*fact, *outcome))
        })
    }
}
