//! Which job is next: a graph of tasks and the border of what can start.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use super::RunError;
use crate::domain::{JobId, Task};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// For so many parents.
    Waiting(usize),
    Ready,
    Taken,
    /// Done, failed or skipped.
    Settled,
}

/// Tasks by index, from waiting to settled.
#[derive(Debug)]
pub(super) struct Queue {
    parents: Vec<Vec<JobId>>,
    children: Vec<Vec<usize>>,
    /// Jobs on the longest path from this one to a last one.
    height: Vec<u32>,
    state: Vec<State>,
    /// Those that can start: the start of the longest remaining path first, then in the order of the tasks.
    ready: BTreeSet<(Reverse<u32>, usize)>,
}

impl Queue {
    /// The queue of these tasks, whose parents are other tasks or done.
    pub(super) fn new(tasks: &[Task], done: &BTreeMap<JobId, PathBuf>) -> Result<Self, RunError> {
        let mut index = HashMap::new();
        for (number, task) in tasks.iter().enumerate() {
            if index.insert(task.id, number).is_some() {
                return Err(RunError::Tasks(format!("job {} twice at a time", task.id.short())));
            }
        }
        let mut children = vec![vec![]; tasks.len()];
        let mut waiting = vec![0; tasks.len()];
        for (number, task) in tasks.iter().enumerate() {
            for parent in task.parents.iter().collect::<BTreeSet<_>>() {
                match index.get(parent) {
                    Some(&parent) => {
                        children[parent].push(number);
                        waiting[number] += 1;
                    }
                    None if done.contains_key(parent) => {}
                    None => {
                        let (child, parent) = (task.id.short(), parent.short());
                        return Err(RunError::Tasks(format!(
                            "job {child}: it needs job {parent}, which is neither done nor to be run"
                        )));
                    }
                }
            }
        }
        let order = topological(&children, &waiting);
        if order.len() < tasks.len() {
            return Err(RunError::Tasks("jobs that need one another in a circle".to_owned()));
        }
        let mut height = vec![1; tasks.len()];
        for &number in order.iter().rev() {
            height[number] += children[number].iter().map(|&child| height[child]).max().unwrap_or(0);
        }
        let mut queue = Self {
            parents: tasks.iter().map(|task| task.parents.clone()).collect(),
            children,
            height,
            state: waiting.into_iter().map(State::Waiting).collect(),
            ready: BTreeSet::new(),
        };
        for number in 0..tasks.len() {
            queue.wake(number);
        }
        Ok(queue)
    }

    /// Makes a task ready that waits for nobody.
    fn wake(&mut self, task: usize) {
        if self.state[task] == State::Waiting(0) {
            self.put_back(task);
        }
    }

    /// Makes a taken task ready again.
    pub(super) fn put_back(&mut self, task: usize) {
        self.state[task] = State::Ready;
        self.ready.insert((Reverse(self.height[task]), task));
    }

    /// Takes a task whether it is ready or not: someone is at it already.
    pub(super) fn claim(&mut self, task: usize) {
        self.state[task] = State::Taken;
        self.ready.remove(&(Reverse(self.height[task]), task));
    }

    /// Takes the next task; of equally urgent ones one that shares a parent with `last`, whose worker may still have
    /// that parent's model in memory.
    pub(super) fn take(&mut self, last: Option<usize>) -> Option<usize> {
        let &(urgency, first) = self.ready.first()?;
        let akin = |task: usize| {
            last.is_some_and(|last| self.parents[task].iter().any(|parent| self.parents[last].contains(parent)))
        };
        let equals = self.ready.iter().take_while(|(other, _)| *other == urgency);
        let task = equals.map(|&(_, task)| task).find(|&task| akin(task)).unwrap_or(first);
        self.claim(task);
        Some(task)
    }

    /// Settles a task that is done; its children may start.
    pub(super) fn finish(&mut self, task: usize) {
        self.state[task] = State::Settled;
        for child in self.children[task].clone() {
            if let State::Waiting(parents) = &mut self.state[child] {
                *parents -= 1;
                self.wake(child);
            }
        }
    }

    /// Settles a task that failed, and all that need it; returns the latter, in the order of the tasks.
    pub(super) fn fail(&mut self, task: usize) -> Vec<usize> {
        self.state[task] = State::Settled;
        let mut skipped = BTreeSet::new();
        let mut border = self.children[task].clone();
        while let Some(child) = border.pop() {
            if matches!(self.state[child], State::Waiting(_)) {
                self.state[child] = State::Settled;
                skipped.insert(child);
                border.extend(&self.children[child]);
            }
        }
        skipped.into_iter().collect()
    }

    /// The tasks that are neither taken nor settled.
    pub(super) fn left(&self) -> Vec<usize> {
        let left = |state: &State| matches!(state, State::Waiting(_) | State::Ready);
        (0..self.state.len()).filter(|&task| left(&self.state[task])).collect()
    }
}

/// All tasks, parents first; those on or behind a circle are missing.
fn topological(children: &[Vec<usize>], waiting: &[usize]) -> Vec<usize> {
    let mut waiting = waiting.to_vec();
    let mut order: Vec<usize> = (0..waiting.len()).filter(|&task| waiting[task] == 0).collect();
    let mut next = 0;
    while next < order.len() {
        for &child in &children[order[next]] {
            waiting[child] -= 1;
            if waiting[child] == 0 {
                order.push(child);
            }
        }
        next += 1;
    }
    order
}

#[cfg(test)]
mod tests {
    use super::super::tests::{id, tasks};
    use super::*;

    fn queue(parents: &[&[usize]]) -> Queue {
        let parents: Vec<Vec<usize>> = parents.iter().map(|list| list.to_vec()).collect();
        Queue::new(&tasks("/nowhere".as_ref(), &parents), &BTreeMap::new()).unwrap()
    }

    #[test]
    fn the_longest_path_starts_first() {
        // 0 alone; 1 -> 2 -> 3; 4 -> 3
        let mut queue = queue(&[&[], &[], &[1], &[2, 4], &[]]);
        assert_eq!([(); 4].map(|()| queue.take(None)), [Some(1), Some(4), Some(0), None]);
        queue.finish(1);
        assert_eq!(queue.take(None), Some(2));
        queue.finish(2);
        assert_eq!(queue.take(None), None, "3 still needs 4");
        queue.finish(4);
        assert_eq!(queue.take(None), Some(3));
    }

    #[test]
    fn a_worker_stays_with_its_model() {
        // Evaluations 2, 4 of model 0 and 3, 5 of model 1.
        let mut queue = queue(&[&[], &[], &[0], &[1], &[0], &[1]]);
        for model in [0, 1] {
            assert_eq!(queue.take(None), Some(model));
            queue.finish(model);
        }
        assert_eq!(queue.take(None), Some(2));
        assert_eq!(queue.take(Some(2)), Some(4));
        assert_eq!(queue.take(Some(4)), Some(3));
    }

    #[test]
    fn a_failure_skips_what_needs_it_once() {
        let mut queue = queue(&[&[], &[], &[0, 1], &[0], &[2, 3]]);
        assert_eq!(queue.take(None), Some(0));
        assert_eq!(queue.fail(0), [2, 3, 4]);
        assert_eq!(queue.take(None), Some(1));
        assert_eq!(queue.fail(1), [] as [usize; 0]);
        assert_eq!(queue.left(), [] as [usize; 0]);
    }

    #[test]
    fn graphs_that_cannot_be_run_are_refused() {
        let error = |tasks: &[Task]| Queue::new(tasks, &BTreeMap::new()).unwrap_err().to_string();
        let mut circle = tasks("/nowhere".as_ref(), &[vec![], vec![0]]);
        circle[0].parents = vec![circle[1].id];
        assert_eq!(error(&circle), "run jobs that need one another in a circle");
        let orphan = &tasks("/nowhere".as_ref(), &[vec![], vec![0]])[1..];
        assert!(error(orphan).ends_with("which is neither done nor to be run"));
        let done = BTreeMap::from([(id(0), PathBuf::new())]);
        assert_eq!(Queue::new(orphan, &done).unwrap().take(None), Some(0));
        assert!(error(&[circle[0].clone(), circle[0].clone()]).contains("twice"));
    }
}
