//! The growing form of a router: a plain trie of segments per host, in which conflicts are found.

use std::collections::HashMap;

use crate::methods::{MethodId, MethodMask};
use crate::pattern::{Pattern, Segment};
use crate::reach::{self, Reach, Remainder};

/// The number of a registered pattern, in the order of registration.
pub(crate) type RouteId = u32;

/// The number of a node in its tree.
pub(crate) type NodeId = u32;

/// All registered patterns: a root for each host, the empty host standing for every host.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    roots: HashMap<Box<str>, NodeId>,
}

/// A place in the path after some segments.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) literals: HashMap<Box<[u8]>, NodeId>,
    pub(crate) wild: Option<NodeId>,
    /// Patterns that end here.
    pub(crate) leaf: Leaf,
    /// Patterns that end here after a slash, by `{$}`.
    pub(crate) end: Leaf,
    /// Patterns whose rest begins here.
    pub(crate) rest: Leaf,
    /// What lies below this node, and below its literal children alone.
    below: Reach,
    below_literals: Reach,
}

/// Patterns of one path, told apart by method.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leaf {
    pub(crate) any: Option<RouteId>,
    pub(crate) by_method: Vec<(MethodId, RouteId)>,
}

impl Leaf {
    pub(crate) fn is_empty(&self) -> bool {
        self.any.is_none() && self.by_method.is_empty()
    }

    /// The pattern that takes a method: its own, then `GET` for `HEAD`, then the one for every method.
    pub(crate) fn pick(&self, method: MethodId) -> Option<RouteId> {
        let of = |method| self.by_method.iter().find(|(own, _)| *own == method).map(|(_, route)| *route);
        of(method).or_else(|| of(MethodId::GET).filter(|_| method == MethodId::HEAD)).or(self.any)
    }

    fn routes(&self) -> impl Iterator<Item = RouteId> {
        self.any.into_iter().chain(self.by_method.iter().map(|(_, route)| *route))
    }

    fn add(&mut self, method: Option<MethodId>, route: RouteId) {
        match method {
            None => self.any = Some(route),
            Some(method) => self.by_method.push((method, route)),
        }
    }
}

impl Tree {
    pub(crate) fn root(&self, host: &str) -> Option<NodeId> {
        self.roots.get(host).copied()
    }

    pub(crate) fn roots(&self) -> impl Iterator<Item = (&str, NodeId)> {
        self.roots.iter().map(|(host, root)| (&**host, *root))
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }

    /// Adds a pattern that conflicts with none. `method` is the number of the pattern's own method.
    pub(crate) fn insert(&mut self, pattern: &Pattern, method: Option<MethodId>, route: RouteId) {
        let host = pattern.host().unwrap_or_default();
        let mut at = match self.roots.get(host) {
            Some(root) => *root,
            None => {
                let root = self.add_node();
                self.roots.insert(host.into(), root);
                root
            }
        };
        let methods = reach::taken_by(method);
        for (depth, segment) in pattern.segments().iter().enumerate() {
            self.nodes[at as usize].below.add(&remainder(pattern, depth, methods));
            if let Segment::Literal(_) = segment {
                self.nodes[at as usize].below_literals.add(&remainder(pattern, depth + 1, methods));
            }
            match segment {
                Segment::End => return self.nodes[at as usize].end.add(method, route),
                Segment::Rest(_) => return self.nodes[at as usize].rest.add(method, route),
                Segment::Wild(_) => at = self.wild_child(at),
                Segment::Literal(literal) => at = self.literal_child(at, literal),
            }
        }
        let last = &mut self.nodes[at as usize];
        last.below.add(&remainder(pattern, pattern.segments().len(), methods));
        last.leaf.add(method, route);
    }

    fn add_node(&mut self) -> NodeId {
        self.nodes.push(Node {
            literals: HashMap::new(),
            wild: None,
            leaf: Leaf::default(),
            end: Leaf::default(),
            rest: Leaf::default(),
            below: Reach::NOTHING,
            below_literals: Reach::NOTHING,
        });
        NodeId::try_from(self.nodes.len() - 1).expect("memory ends before the node numbers do")
    }

    fn wild_child(&mut self, parent: NodeId) -> NodeId {
        if let Some(child) = self.node(parent).wild {
            return child;
        }
        let child = self.add_node();
        self.nodes[parent as usize].wild = Some(child);
        child
    }

    fn literal_child(&mut self, parent: NodeId, literal: &[u8]) -> NodeId {
        if let Some(child) = self.node(parent).literals.get(literal) {
            return *child;
        }
        let child = self.add_node();
        self.nodes[parent as usize].literals.insert(literal.into(), child);
        child
    }

    /// The registered patterns of the same host whose paths meet those of `pattern`, in the order of registration. Some whose
    /// methods are disjoint may be left out.
    ///
    /// Where the pattern has a wildcard and the trie many literals, each of them may have to be looked at; what lies below is
    /// skipped when its lengths or methods do not fit. Thus a set of patterns costs the square of its size only if thousands
    /// have wildcards where thousands of others, of the same length, have literals.
    pub(crate) fn meeting(&self, pattern: &Pattern, method: Option<MethodId>) -> Vec<RouteId> {
        let mut met = Vec::new();
        if let Some(root) = self.root(pattern.host().unwrap_or_default()) {
            self.meet(root, pattern, reach::taken_by(method), &mut met);
        }
        met.sort_unstable();
        met
    }

    fn meet(&self, root: NodeId, pattern: &Pattern, methods: MethodMask, met: &mut Vec<RouteId>) {
        let segments = pattern.segments();
        let remainder = |depth: usize| remainder(pattern, depth, methods);
        let mut open = vec![(root, 0)];
        while let Some((id, depth)) = open.pop() {
            let node = self.node(id);
            if !node.below.may_meet(&remainder(depth)) {
                continue;
            }
            let Some(first) = segments.get(depth) else {
                met.extend(node.leaf.routes());
                continue;
            };
            met.extend(node.rest.routes());
            let wild = node.wild.map(|child| (child, depth + 1));
            match first {
                Segment::Rest(_) => self.all_below(id, met),
                Segment::End => met.extend(node.end.routes()),
                Segment::Literal(literal) => {
                    open.extend(node.literals.get(literal).map(|child| (*child, depth + 1)));
                    open.extend(wild.filter(|_| !literal.is_empty()));
                }
                Segment::Wild(_) => {
                    if node.below_literals.may_meet(&remainder(depth + 1)) {
                        let filled = node.literals.iter().filter(|(literal, _)| !literal.is_empty());
                        open.extend(filled.map(|(_, child)| (*child, depth + 1)));
                    }
                    open.extend(wild);
                }
            }
        }
    }

    /// Every pattern that goes on behind a slash after this node, apart from the node's own rests.
    fn all_below(&self, id: NodeId, met: &mut Vec<RouteId>) {
        met.extend(self.node(id).end.routes());
        let children = |id| {
            let node: &Node = self.node(id);
            node.literals.values().copied().chain(node.wild)
        };
        let mut open: Vec<_> = children(id).collect();
        while let Some(id) = open.pop() {
            let node = self.node(id);
            met.extend(node.leaf.routes().chain(node.end.routes()).chain(node.rest.routes()));
            open.extend(children(id));
        }
    }
}

/// What is left of a pattern after its first `depth` segments.
fn remainder(pattern: &Pattern, depth: usize, methods: MethodMask) -> Remainder {
    let ends = matches!(pattern.segments().last(), Some(Segment::Rest(_) | Segment::End));
    let segments = (pattern.segments().len() - usize::from(ends)).saturating_sub(depth);
    Remainder { segments, rest: pattern.ends_in_rest(), methods }
}
