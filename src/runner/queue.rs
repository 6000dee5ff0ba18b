//! Which job is next: the graph of tasks, and those that can start.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use super::error::RunError;
use crate::domain::{JobId, Task};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum QueueState {
    /// Waiting for a parent.
    Waiting,
    Ready,
    Running,
    /// Running on the result of an earlier run of a parent, which has failed in this run.
    Orphaned,
    /// Done, failed or skipped.
    Ended,
}

/// The states of the tasks, by index.
#[derive(Debug)]
pub(super) struct Queue {
    parents: Vec<Vec<JobId>>,
    children: Vec<Vec<usize>>,
    /// Length of the longest path from each task to a task without children.
    height: Vec<u32>,
    /// How many parents of each task are not done. A task may run although this is above 0: it was started in an earlier
    /// run, and the result of a parent was lost since.
    undone: Vec<usize>,
    state: Vec<QueueState>,
    /// Tasks that can start: those on the longest remaining path first, then in the order of the tasks.
    ready: BTreeSet<(Reverse<u32>, usize)>,
}

impl Queue {
    /// The queue of these tasks, each of whose parents is another task or done.
    pub(super) fn new(tasks: &[Task], done: &BTreeMap<JobId, PathBuf>) -> Result<Self, RunError> {
        let mut index = HashMap::new();
        for (number, task) in tasks.iter().enumerate() {
            if index.insert(task.id, number).is_some() {
                return Err(RunError::Tasks(format!("the job {} twice at the same time", task.id.short())));
            }
        }
        let mut children = vec![vec![]; tasks.len()];
        let mut undone = vec![0; tasks.len()];
        for (number, task) in tasks.iter().enumerate() {
            for parent in task.parents.iter().collect::<BTreeSet<_>>() {
                match index.get(parent) {
                    Some(&parent) => {
                        children[parent].push(number);
                        undone[number] += 1;
                    }
                    None if done.contains_key(parent) => {}
                    None => {
                        let (child, parent) = (task.id.short(), parent.short());
                        return Err(RunError::Tasks(format!(
                            "the job {child}: it needs the job {parent}, which is neither done nor part of the run"
                        )));
                    }
                }
            }
        }
        let order = topological(&children, &undone);
        if order.len() < tasks.len() {
            return Err(RunError::Tasks("jobs that depend on each other in a cycle".to_owned()));
        }
        let mut height = vec![1; tasks.len()];
        for &number in order.iter().rev() {
            height[number] += children[number].iter().map(|&child| height[child]).max().unwrap_or(0);
        }
        let mut queue = Self {
            parents: tasks.iter().map(|task| task.parents.clone()).collect(),
            children,
            height,
            undone,
            state: vec![QueueState::Waiting; tasks.len()],
            ready: BTreeSet::new(),
        };
        for number in 0..tasks.len() {
            queue.release(number);
        }
        Ok(queue)
    }

    /// Makes a waiting task ready if all its parents are done.
    fn release(&mut self, task: usize) {
        if self.state[task] == QueueState::Waiting && self.undone[task] == 0 {
            self.state[task] = QueueState::Ready;
            self.ready.insert((Reverse(self.height[task]), task));
        }
    }

    /// Puts a running task back: it starts again once its parents are done. If one of them has failed, the task and its
    /// descendants are skipped; returns these, in the order of the tasks.
    pub(super) fn put_back(&mut self, task: usize) -> Vec<usize> {
        if self.state[task] == QueueState::Orphaned {
            self.state[task] = QueueState::Waiting;
            return self.skip(vec![task]);
        }
        self.state[task] = QueueState::Waiting;
        self.release(task);
        vec![]
    }

    /// Whether a parent is not done, so that a task that runs all the same may have failed because of that.
    pub(super) fn lacks_parent(&self, task: usize) -> bool {
        self.undone[task] > 0
    }

    /// Marks a task as running, whether it is ready or not.
    pub(super) fn claim(&mut self, task: usize) {
        self.state[task] = QueueState::Running;
        self.ready.remove(&(Reverse(self.height[task]), task));
    }

    /// Takes the next task. Among equally urgent tasks, prefers one that shares a parent with `last`, because the worker
    /// may still have the model of that parent in memory.
    pub(super) fn take(&mut self, last: Option<usize>) -> Option<usize> {
        let &(urgency, first) = self.ready.first()?;
        let shares_parent = |task: usize| {
            last.is_some_and(|last| self.parents[task].iter().any(|parent| self.parents[last].contains(parent)))
        };
        let equals = self.ready.iter().take_while(|(other, _)| *other == urgency);
        let task = equals.map(|&(_, task)| task).find(|&task| shares_parent(task)).unwrap_or(first);
        self.claim(task);
        Some(task)
    }

    /// Marks a task as done; its children may start.
    pub(super) fn finish(&mut self, task: usize) {
        self.state[task] = QueueState::Ended;
        for child in self.children[task].clone() {
            self.undone[child] -= 1;
            self.release(child);
        }
    }

    /// Marks a task as failed and its descendants as skipped; returns the descendants, in the order of the tasks.
    pub(super) fn fail(&mut self, task: usize) -> Vec<usize> {
        self.state[task] = QueueState::Ended;
        self.skip(self.children[task].clone())
    }

    /// Marks those of these tasks that wait, and the descendants of these, as skipped; returns them.
    fn skip(&mut self, tasks: Vec<usize>) -> Vec<usize> {
        let mut skipped = BTreeSet::new();
        let mut frontier = tasks;
        while let Some(task) = frontier.pop() {
            match self.state[task] {
                QueueState::Waiting => {
                    self.state[task] = QueueState::Ended;
                    skipped.insert(task);
                    frontier.extend(&self.children[task]);
                }
                QueueState::Running => self.state[task] = QueueState::Orphaned,
                QueueState::Ready | QueueState::Orphaned | QueueState::Ended => {}
            }
        }
        skipped.into_iter().collect()
    }

    /// The tasks that never started.
    pub(super) fn unstarted(&self) -> Vec<usize> {
        let unstarted = |state: &QueueState| matches!(state, QueueState::Waiting | QueueState::Ready);
        (0..self.state.len()).filter(|&task| unstarted(&self.state[task])).collect()
    }
}

/// All tasks, parents first, without those on a cycle and their descendants.
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
    fn the_job_on_the_longest_path_starts_first() {
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
    fn a_worker_prefers_jobs_of_the_model_it_has_loaded() {
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
    fn a_failure_skips_every_descendant_once() {
        let mut queue = queue(&[&[], &[], &[0, 1], &[0], &[2, 3]]);
        assert_eq!(queue.take(None), Some(0));
        assert_eq!(queue.fail(0), [2, 3, 4]);
        assert_eq!(queue.take(None), Some(1));
        assert_eq!(queue.fail(1), [] as [usize; 0]);
        assert_eq!(queue.unstarted(), [] as [usize; 0]);
    }

    #[test]
    fn a_task_that_runs_before_its_parent_waits_when_it_is_put_back() {
        // An earlier run started 1, and the result of 0 was lost since.
        let mut queue = queue(&[&[], &[0], &[1]]);
        queue.claim(1);
        assert!(queue.lacks_parent(1));
        assert_eq!(queue.put_back(1), [] as [usize; 0]);
        assert_eq!([(); 2].map(|()| queue.take(None)), [Some(0), None]);
        queue.finish(0);
        assert_eq!([(); 2].map(|()| queue.take(None)), [Some(1), None]);
        assert!(!queue.lacks_parent(1));
        assert_eq!(queue.put_back(1), [] as [usize; 0]);
        assert_eq!(queue.take(None), Some(1));
    }

    #[test]
    fn a_task_that_runs_while_its_parent_fails_may_still_end_well() {
        let started = || {
            let mut queue = queue(&[&[], &[0], &[1], &[0]]);
            queue.claim(1);
            assert_eq!(queue.take(None), Some(0));
            assert_eq!(queue.fail(0), [3]);
            queue
        };
        let mut queue = started();
        queue.finish(1);
        assert_eq!(queue.take(None), Some(2));
        let mut queue = started();
        assert_eq!(queue.put_back(1), [1, 2]);
        assert_eq!((queue.take(None), queue.unstarted()), (None, vec![]));
        let mut queue = started();
        assert_eq!(queue.fail(1), [2]);
    }

    #[test]
    fn graphs_that_cannot_be_run_are_rejected() {
        let error = |tasks: &[Task]| Queue::new(tasks, &BTreeMap::new()).unwrap_err().to_string();
        let mut cycle = tasks("/nowhere".as_ref(), &[vec![], vec![0]]);
        cycle[0].parents = vec![cycle[1].id];
        assert_eq!(error(&cycle), "run jobs that depend on each other in a cycle");
        let orphan = &tasks("/nowhere".as_ref(), &[vec![], vec![0]])[1..];
        assert!(error(orphan).ends_with("which is neither done nor part of the run"));
        let done = BTreeMap::from([(id(0), PathBuf::new())]);
        assert_eq!(Queue::new(orphan, &done).unwrap().take(None), Some(0));
        assert!(error(&[cycle[0].clone(), cycle[0].clone()]).contains("twice"));
    }
}
