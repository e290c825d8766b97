//! Doubly linked lists whose nodes live in a slab, so that anything can leave from the middle in constant time: a queue from which
//! only the front is cleaned leaks when those behind it give up (golang/go#76784).

use slab::Slab;

/// A node's neighbours in one list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Links {
    prev: Option<u32>,
    pub(super) next: Option<u32>,
    linked: bool,
}

/// A node that can be in the lists of kind `L`.
pub(super) trait Node<L> {
    fn links(&mut self) -> &mut Links;
    fn peek(&self) -> &Links;
}

/// The ends of one list. `len` counts its nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct List {
    front: Option<u32>,
    back: Option<u32>,
    len: u32,
}

impl List {
    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn front(&self) -> Option<u32> {
        self.front
    }

    pub(super) fn back(&self) -> Option<u32> {
        self.back
    }

    pub(super) fn push_back<L, T: Node<L>>(&mut self, nodes: &mut Slab<T>, id: u32) {
        self.insert(nodes, id, self.back, None);
    }

    pub(super) fn push_front<L, T: Node<L>>(&mut self, nodes: &mut Slab<T>, id: u32) {
        self.insert(nodes, id, None, self.front);
    }

    /// Takes a node out; nothing happens if it is in none.
    pub(super) fn remove<L, T: Node<L>>(&mut self, nodes: &mut Slab<T>, id: u32) {
        let links = std::mem::take(nodes[id as usize].links());
        if !links.linked {
            return;
        }
        match links.prev {
            Some(prev) => nodes[prev as usize].links().next = links.next,
            None => self.front = links.next,
        }
        match links.next {
            Some(next) => nodes[next as usize].links().prev = links.prev,
            None => self.back = links.prev,
        }
        self.len -= 1;
    }

    fn insert<L, T: Node<L>>(&mut self, nodes: &mut Slab<T>, id: u32, prev: Option<u32>, next: Option<u32>) {
        debug_assert!(!nodes[id as usize].peek().linked, "a node is in a list once");
        *nodes[id as usize].links() = Links { prev, next, linked: true };
        match prev {
            Some(prev) => nodes[prev as usize].links().next = Some(id),
            None => self.front = Some(id),
        }
        match next {
            Some(next) => nodes[next as usize].links().prev = Some(id),
            None => self.back = Some(id),
        }
        self.len += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Plain;

    #[derive(Default)]
    struct Item(Links);

    impl Node<Plain> for Item {
        fn links(&mut self) -> &mut Links {
            &mut self.0
        }

        fn peek(&self) -> &Links {
            &self.0
        }
    }

    fn order(list: &List, nodes: &Slab<Item>) -> Vec<u32> {
        let (mut seen, mut at) = (Vec::new(), list.front());
        while let Some(id) = at {
            seen.push(id);
            at = nodes[id as usize].0.next;
        }
        seen
    }

    #[test]
    fn nodes_leave_from_either_end_and_from_the_middle() {
        let mut nodes = Slab::new();
        let mut list = List::default();
        for _ in 0..5 {
            let id = u32::try_from(nodes.insert(Item::default())).unwrap();
            list.push_back::<Plain, _>(&mut nodes, id);
        }
        list.remove::<Plain, _>(&mut nodes, 2);
        assert_eq!(order(&list, &nodes), [0, 1, 3, 4]);
        list.remove::<Plain, _>(&mut nodes, 2);
        list.remove::<Plain, _>(&mut nodes, 0);
        list.remove::<Plain, _>(&mut nodes, 4);
        assert_eq!((order(&list, &nodes), list.front(), list.back(), list.len()), (vec![1, 3], Some(1), Some(3), 2));
        list.push_front::<Plain, _>(&mut nodes, 0);
        list.remove::<Plain, _>(&mut nodes, 3);
        assert_eq!(order(&list, &nodes), [0, 1]);
        list.remove::<Plain, _>(&mut nodes, 0);
        list.remove::<Plain, _>(&mut nodes, 1);
        assert!(list.is_empty() && list.front().is_none() && list.back().is_none());
    }
}
