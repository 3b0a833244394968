//! The intermediate form to instructions.
//!
//! A program is: which ABI, then a balanced tree over intervals of call numbers, then decisions
//! about arguments, then the answers, each once. It is written from its end to its beginning:
//! jumps go forward only, so every target is known when a jump to it is written, and one that is
//! too far for a conditional jump (255 instructions) gets a stepping stone on the way.

use super::abi::{Abi, X32_BIT};
use super::action::Action;
use super::condition::{Atom, WordCompare};
use super::error::SeccompError;
use super::graph::{self, Graph, Node, NodeId};
use super::program::{Instruction, Program};
use super::resolve::{AbiRules, Entry, FOREIGN, NO_X32, Resolved, SKIPPED};

const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const IF_EQUAL: u16 = 0x15;
const IF_AT_LEAST: u16 = 0x35;
const IF_BITS: u16 = 0x45;
const RETURN: u16 = 0x06;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGS: u32 = 16;

/// A conditional jump reaches 255 instructions; two stepping stones may still come between.
const REACH: usize = 252;

/// How many calls an interval may have that are decided otherwise than the rest of it.
const MAX_ODD: usize = 2;

/// Writes the program.
///
/// # Errors
/// [`SeccompError::TooLong`].
pub(crate) fn emit(resolved: &Resolved) -> Result<Program, SeccompError> {
    let mut graph = Graph::default();
    let foreign = graph.leaf(FOREIGN.action);
    let mut plans = Vec::with_capacity(resolved.abis.len());
    for rules in resolved.abis.iter().filter(|rules| rules.abi != Abi::X32) {
        plans.push((rules.abi.audit_arch(), intervals(resolved, rules, &mut graph)?));
    }
    let mut writer = Writer::new(&graph);
    writer.write_decisions()?;
    let mut next = Target::Node(foreign);
    for (arch, intervals) in plans.iter().rev() {
        let tree = writer.write_tree(&cells(intervals))?;
        let entry =
            writer.write_after(tree, Instruction { code: LOAD, jt: 0, jf: 0, k: NUMBER })?;
        next = writer.write_if(IF_EQUAL, *arch, entry, next)?;
    }
    writer.write_after(next, Instruction { code: LOAD, jt: 0, jf: 0, k: ARCH })?;
    let mut instructions = writer.code;
    instructions.reverse();
    Ok(Program { instructions, flags: resolved.flags })
}

/// Numbers from here to the next interval that are decided alike.
#[derive(Debug, Clone, Copy)]
struct Interval {
    first: u32,
    node: NodeId,
}

/// All numbers of one architecture, ascending.
fn intervals(
    resolved: &Resolved,
    rules: &AbiRules,
    graph: &mut Graph,
) -> Result<Vec<Interval>, SeccompError> {
    let mut list = Vec::with_capacity(160);
    add_blocks(&mut list, resolved, rules, graph)?;
    if rules.abi == Abi::X86_64 {
        match resolved.abis.iter().find(|rules| rules.abi == Abi::X32) {
            Some(x32) => add_blocks(&mut list, resolved, x32, graph)?,
            None => add(&mut list, X32_BIT, graph.leaf(NO_X32.action)),
        }
        add(&mut list, SKIPPED, graph.leaf(rules.beyond.action));
    }
    Ok(list)
}

fn add_blocks(
    list: &mut Vec<Interval>,
    resolved: &Resolved,
    rules: &AbiRules,
    graph: &mut Graph,
) -> Result<(), SeccompError> {
    let beyond = graph.leaf(rules.beyond.action);
    let mut last: Option<(Action, NodeId)> = None;
    for block in &rules.blocks {
        let mut number = block.first;
        for entry in &block.entries {
            let node = match (*entry, last) {
                (Entry::Fixed(ruling), Some((action, node))) if ruling.action == action => node,
                (Entry::Fixed(ruling), _) => {
                    let node = graph.leaf(ruling.action);
                    last = Some((ruling.action, node));
                    node
                }
                (Entry::Chain(place), _) => decision(resolved, place, graph)?,
            };
            add(list, number, node);
            number = number.saturating_add(1);
        }
        add(list, number, beyond);
    }
    Ok(())
}

fn add(list: &mut Vec<Interval>, first: u32, node: NodeId) {
    if list.last().is_none_or(|last| last.node != node) {
        list.push(Interval { first, node });
    }
}

fn decision(resolved: &Resolved, place: usize, graph: &mut Graph) -> Result<NodeId, SeccompError> {
    let Some(chain) = resolved.chains.get(place) else { return Ok(graph.leaf(FOREIGN.action)) };
    let arms: Vec<_> = chain
        .arms
        .iter()
        .map(|arm| graph::Arm { tests: &arm.tests, action: arm.ruling.action })
        .collect();
    let node = graph.decision(&arms, chain.otherwise.action);
    // Every node becomes one instruction or more.
    if graph.len() > Program::MAX { Err(SeccompError::TooLong) } else { Ok(node) }
}

/// Intervals that one leaf of the tree decides: a run of numbers decided alike, with a few odd
/// ones in it, which cost one comparison each instead of two.
#[derive(Debug)]
struct Cell {
    first: u32,
    node: NodeId,
    odd: [Option<Interval>; MAX_ODD],
}

fn cells(intervals: &[Interval]) -> Vec<Cell> {
    let mut cells: Vec<Cell> = Vec::with_capacity(intervals.len());
    let mut rest = intervals;
    while let [first, tail @ ..] = rest {
        let mut cell = Cell { first: first.first, node: first.node, odd: [None; MAX_ODD] };
        rest = tail;
        for slot in &mut cell.odd {
            match rest {
                [odd, back, tail @ ..]
                    if back.node == cell.node && Some(back.first) == odd.first.checked_add(1) =>
                {
                    *slot = Some(*odd);
                    rest = tail;
                }
                _ => break,
            }
        }
        cells.push(cell);
    }
    cells
}

/// Where a jump goes.
#[derive(Debug, Clone, Copy)]
enum Target {
    /// To a decision or an answer.
    Node(NodeId),
    /// To an instruction, counted from the end of the program.
    Code(usize),
}

/// Where a node stands, counted from the end of the program.
#[derive(Debug, Clone, Copy, Default)]
struct Spot {
    /// For whoever comes with something else in the accumulator.
    entry: Option<usize>,
    /// For whoever has the node's word in the accumulator already.
    body: Option<usize>,
}

/// Instructions, last first.
struct Writer<'a> {
    graph: &'a Graph,
    code: Vec<Instruction>,
    spots: Vec<Spot>,
}

impl<'a> Writer<'a> {
    fn new(graph: &'a Graph) -> Self {
        Self { graph, code: Vec::with_capacity(512), spots: vec![Spot::default(); graph.len()] }
    }

    fn push(&mut self, instruction: Instruction) -> Result<usize, SeccompError> {
        if self.code.len() >= Program::MAX {
            return Err(SeccompError::TooLong);
        }
        self.code.push(instruction);
        Ok(self.code.len() - 1)
    }

    fn distance(&self, spot: usize) -> usize {
        self.code.len().saturating_sub(spot + 1)
    }

    /// Everything about arguments.
    fn write_decisions(&mut self) -> Result<(), SeccompError> {
        let needed = self.graph.needed();
        let bare = self.needing_load(&needed);
        for ((id, node), _) in self.graph.nodes().zip(&needed).filter(|(_, needed)| **needed) {
            let Node::Test { atom, yes, no } = node else { continue };
            let body = self.write_test(atom, yes, no)?;
            self.set(id, |spot| spot.body = Some(body));
            if bare.get(id.index()).copied().unwrap_or(true) {
                let k = ARGS + u32::from(atom.word) * 4;
                let entry = self.push(Instruction { code: LOAD, jt: 0, jf: 0, k })?;
                self.set(id, |spot| spot.entry = Some(entry));
            }
        }
        Ok(())
    }

    /// Which nodes are come to with something else than their word in the accumulator.
    fn needing_load(&self, needed: &[bool]) -> Vec<bool> {
        let mut bare = vec![false; self.graph.len()];
        for ((_, node), _) in self.graph.nodes().zip(needed).filter(|(_, needed)| **needed) {
            let Node::Test { atom, yes, no } = node else { continue };
            for child in [yes, no] {
                let kept = self.keeps(atom, child);
                if let Some(slot) = bare.get_mut(child.index()) {
                    *slot |= !kept;
                }
            }
        }
        for root in self.graph.roots() {
            if let Some(slot) = bare.get_mut(root.index()) {
                *slot = true;
            }
        }
        bare
    }

    /// Whether the accumulator still holds the word of `child` after the test of `atom`.
    fn keeps(&self, atom: Atom, child: NodeId) -> bool {
        let same = match self.graph.node(child) {
            Some(Node::Test { atom: next, .. }) => next.word == atom.word,
            Some(Node::Return(_)) | None => false,
        };
        same && !comparison(atom.compare).cuts()
    }

    fn write_test(&mut self, atom: Atom, yes: NodeId, no: NodeId) -> Result<usize, SeccompError> {
        let comparison = comparison(atom.compare);
        let (yes, no) = if comparison.turned { (no, yes) } else { (yes, no) };
        let [yes, no] = [yes, no].map(|child| self.past_load(atom, child));
        let spot = self.write_if(comparison.code, comparison.k, yes, no)?;
        match (comparison.mask, spot) {
            (Some(k), _) => self.push(Instruction { code: AND, jt: 0, jf: 0, k }),
            (None, Target::Code(spot)) => Ok(spot),
            (None, Target::Node(_)) => Ok(self.code.len().saturating_sub(1)),
        }
    }

    /// Past the child's load, if it is not needed.
    fn past_load(&self, atom: Atom, child: NodeId) -> Target {
        let body = self.spots.get(child.index()).and_then(|spot| spot.body);
        match body {
            Some(body) if self.keeps(atom, child) => Target::Code(body),
            Some(_) | None => Target::Node(child),
        }
    }

    fn set(&mut self, id: NodeId, change: impl FnOnce(&mut Spot)) {
        if let Some(spot) = self.spots.get_mut(id.index()) {
            change(spot);
        }
    }

    /// Which cell a number is in: the middle is asked for first.
    fn write_tree(&mut self, cells: &[Cell]) -> Result<Target, SeccompError> {
        let (low, high) = cells.split_at(cells.len() / 2);
        match (low, high) {
            ([], [cell]) => self.write_cell(cell),
            (_, [first, ..]) => {
                let right = self.write_tree(high)?;
                let left = self.write_tree(low)?;
                self.write_if(IF_AT_LEAST, first.first, right, left)
            }
            (_, []) => Err(SeccompError::TooLong),
        }
    }

    fn write_cell(&mut self, cell: &Cell) -> Result<Target, SeccompError> {
        let mut target = Target::Node(cell.node);
        for odd in cell.odd.iter().flatten() {
            target = self.write_if(IF_EQUAL, odd.first, Target::Node(odd.node), target)?;
        }
        Ok(target)
    }

    fn write_if(
        &mut self,
        code: u16,
        k: u32,
        yes: Target,
        no: Target,
    ) -> Result<Target, SeccompError> {
        let no = self.near(no)?;
        let yes = self.near(yes)?;
        let short = |distance| u8::try_from(distance).map_err(|_| SeccompError::TooLong);
        let jt = short(self.distance(yes))?;
        let jf = short(self.distance(no))?;
        Ok(Target::Code(self.push(Instruction { code, jt, jf, k })?))
    }

    /// Something that leads to the target and that a conditional jump written next can reach.
    fn near(&mut self, target: Target) -> Result<usize, SeccompError> {
        let answer = match target {
            Target::Code(_) => None,
            Target::Node(id) => match self.graph.node(id) {
                Some(Node::Return(action)) => Some((id, action)),
                Some(Node::Test { .. }) | None => None,
            },
        };
        let spot = match target {
            Target::Code(spot) => Some(spot),
            Target::Node(id) => self.spots.get(id.index()).and_then(|spot| spot.entry),
        };
        match (spot, answer) {
            (Some(spot), _) if self.distance(spot) <= REACH => Ok(spot),
            (_, Some((id, action))) => {
                let k = action.to_ret();
                let spot = self.push(Instruction { code: RETURN, jt: 0, jf: 0, k })?;
                self.set(id, |known| known.entry = Some(spot));
                Ok(spot)
            }
            (Some(spot), None) => {
                let stone = self.write_jump(spot)?;
                if let Target::Node(id) = target {
                    self.set(id, |known| known.entry = Some(stone));
                }
                Ok(stone)
            }
            (None, None) => Err(SeccompError::TooLong),
        }
    }

    fn write_jump(&mut self, spot: usize) -> Result<usize, SeccompError> {
        let k = u32::try_from(self.distance(spot)).map_err(|_| SeccompError::TooLong)?;
        self.push(Instruction { code: JUMP, jt: 0, jf: 0, k })
    }

    /// The instruction, and right behind it the target.
    fn write_after(
        &mut self,
        target: Target,
        instruction: Instruction,
    ) -> Result<Target, SeccompError> {
        let spot = self.near(target)?;
        if self.distance(spot) != 0 {
            self.write_jump(spot)?;
        }
        Ok(Target::Code(self.push(instruction)?))
    }
}

/// How one conditional jump asks a question.
struct Comparison {
    code: u16,
    k: u32,
    /// What the word must be cut to before.
    mask: Option<u32>,
    /// Whether the outcomes change places.
    turned: bool,
}

impl Comparison {
    fn cuts(&self) -> bool {
        self.mask.is_some()
    }
}

fn comparison(compare: WordCompare) -> Comparison {
    let plain = |code, k| Comparison { code, k, mask: None, turned: false };
    match compare {
        WordCompare::AtLeast(k) => plain(IF_AT_LEAST, k),
        WordCompare::Masked { mask: u32::MAX, value } => plain(IF_EQUAL, value),
        WordCompare::Masked { mask, value: 0 } => {
            Comparison { turned: true, ..plain(IF_BITS, mask) }
        }
        WordCompare::Masked { mask, value } if mask.is_power_of_two() && mask == value => {
            plain(IF_BITS, mask)
        }
        WordCompare::Masked { mask, value } => {
            Comparison { mask: Some(mask), ..plain(IF_EQUAL, value) }
        }
    }
}
