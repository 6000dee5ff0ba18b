//! Safe faces of the functions in `cpp/shim.cpp`.

use std::ffi::{CStr, c_char, c_int};
use std::ptr::null_mut;

use tch::{Device, Tensor};
use torch_sys::C_tensor;

use super::error::Error;

type Handle = *mut C_tensor;

unsafe extern "C" {
    fn grid_last_error() -> *const c_char;
    fn grid_configuration(text: *mut c_char, capacity: usize) -> c_int;
    fn grid_gradient_norm(parameters: *const Handle, count: usize, norm: *mut Handle) -> c_int;
    fn grid_fused_adamw(
        parameters: *const Handle,
        first: *const Handle,
        second: *const Handle,
        count: usize,
        steps: Handle,
        grad_scale: Handle,
        learning_rate: f64,
        beta1: f64,
        beta2: f64,
        weight_decay: f64,
        epsilon: f64,
    ) -> c_int;
    fn grid_clear_gradients(parameters: *const Handle, count: usize) -> c_int;
    fn grid_backward(output: Handle, gradient: Handle) -> c_int;
    fn grid_head_loss(
        hidden: Handle,
        weight: Handle,
        targets: Handle,
        scale: f64,
        smoothing: f64,
        chunk: i64,
        bf16: c_int,
        loss: *mut Handle,
        hidden_gradient: *mut Handle,
    ) -> c_int;
    fn grid_target_logprobs(hidden: Handle, weight: Handle, targets: Handle, chunk: i64, out: *mut Handle) -> c_int;
    fn grid_set_autocast(cuda: c_int, enabled: c_int, before: *mut c_int) -> c_int;
    fn grid_autocast_region(enter: c_int) -> c_int;
    fn grid_set_exact(exact: c_int) -> c_int;
    fn grid_memory(device: c_int, bytes: *mut i64) -> c_int;
    fn grid_empty_cache() -> c_int;
}

fn check(code: c_int) -> Result<(), Error> {
    if code == 0 {
        return Ok(());
    }
    // SAFETY: the shim keeps a NUL-terminated message of this thread until its next failure.
    let message = unsafe { CStr::from_ptr(grid_last_error()) }.to_string_lossy().into_owned();
    Err(if code == 2 { Error::OutOfMemory(message) } else { Error::Torch(message) })
}

fn handle(tensor: &Tensor) -> Handle {
    tensor.as_ptr().cast_mut()
}

fn handles<'a>(tensors: impl IntoIterator<Item = &'a Tensor>) -> Vec<Handle> {
    tensors.into_iter().map(handle).collect()
}

/// The description of its build by the libtorch that was loaded.
pub fn configuration() -> Result<String, Error> {
    let mut text = vec![0u8; 1 << 14];
    // SAFETY: the shim writes at most `capacity` bytes, the last of them NUL.
    check(unsafe { grid_configuration(text.as_mut_ptr().cast(), text.len()) })?;
    Ok(CStr::from_bytes_until_nul(&text).unwrap_or_default().to_string_lossy().into_owned())
}

/// Global L2 norm of the gradients of these parameters, a 0-dim tensor on their device.
pub fn gradient_norm<'a>(parameters: impl IntoIterator<Item = &'a Tensor>) -> Result<Tensor, Error> {
    let parameters = handles(parameters);
    let mut norm = null_mut();
    // SAFETY: the handles are alive for the call; on success `norm` is a new tensor that we own.
    unsafe {
        check(grid_gradient_norm(parameters.as_ptr(), parameters.len(), &mut norm))?;
        Ok(Tensor::from_ptr(norm))
    }
}

/// The numbers of one AdamW step.
#[derive(Debug, Clone, Copy)]
pub struct AdamWStep {
    /// Learning rate of this step.
    pub learning_rate: f64,
    /// Decay rates of the moments.
    pub betas: [f64; 2],
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
}

/// One fused step over parameters that hold gradients; these are divided by `grad_scale` (0-dim) on the way.
///
/// `steps` is the 0-dim counter, advanced before.
pub fn fused_adamw(
    parameters: &[&Tensor],
    first: &[&Tensor],
    second: &[&Tensor],
    steps: &Tensor,
    grad_scale: Option<&Tensor>,
    numbers: AdamWStep,
) -> Result<(), Error> {
    assert!(parameters.len() == first.len() && first.len() == second.len(), "one pair of moments per parameter");
    let [parameters, first, second] = [parameters, first, second].map(|list| handles(list.iter().copied()));
    let AdamWStep { learning_rate, betas: [beta1, beta2], weight_decay, epsilon } = numbers;
    // SAFETY: three lists of equal length of live handles; a null scale means none.
    check(unsafe {
        grid_fused_adamw(
            parameters.as_ptr(),
            first.as_ptr(),
            second.as_ptr(),
            parameters.len(),
            handle(steps),
            grad_scale.map_or(null_mut(), handle),
            learning_rate,
            beta1,
            beta2,
            weight_decay,
            epsilon,
        )
    })
}

/// Drops the gradients, so that the next backward pass stores its own instead of adding to zeros.
pub fn clear_gradients<'a>(parameters: impl IntoIterator<Item = &'a Tensor>) -> Result<(), Error> {
    let parameters = handles(parameters);
    // SAFETY: the handles are alive for the call.
    check(unsafe { grid_clear_gradients(parameters.as_ptr(), parameters.len()) })
}

/// Runs the graph behind `output` backwards from this gradient of it.
pub fn backward(output: &Tensor, gradient: &Tensor) -> Result<(), Error> {
    // SAFETY: both handles are alive for the call.
    check(unsafe { grid_backward(handle(output), handle(gradient)) })
}

/// The arguments of [`head_loss`].
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// `[rows, hidden]`
    pub hidden: &'a Tensor,
    /// `[vocab, hidden]`
    pub weight: &'a Tensor,
    /// `[rows]`
    pub targets: &'a Tensor,
    /// Rows whose logits exist at one time.
    pub chunk: i64,
    /// Whether the products are made in bfloat16.
    pub bf16: bool,
}

/// Summed cross entropy (0-dim, double) and, given a scale, the gradient of the hidden states times that scale.
///
/// With a scale it also adds the equally scaled gradient of the head to the head's own gradient. `smoothing` is the
/// share of each target's probability that is spread evenly over the vocabulary, as in `torch.nn.CrossEntropyLoss`.
pub fn head_loss(head: Head<'_>, smoothing: f64, scale: Option<f64>) -> Result<(Tensor, Option<Tensor>), Error> {
    let (mut loss, mut gradient) = (null_mut(), null_mut());
    let wanted = if scale.is_some() { &raw mut gradient } else { null_mut() };
    let (hidden, weight, targets) = (handle(head.hidden), handle(head.weight), handle(head.targets));
    // SAFETY: live handles; on success the out-parameters are new tensors that we own.
    unsafe {
        let scale = scale.unwrap_or(1.0);
        let bf16 = c_int::from(head.bf16);
        check(grid_head_loss(hidden, weight, targets, scale, smoothing, head.chunk, bf16, &mut loss, wanted))?;
        Ok((Tensor::from_ptr(loss), (!gradient.is_null()).then(|| Tensor::from_ptr(gradient))))
    }
}

/// Log-probability of each target, `[rows]`.
pub fn target_logprobs(head: Head<'_>) -> Result<Tensor, Error> {
    let mut logprobs = null_mut();
    let (hidden, weight, targets) = (handle(head.hidden), handle(head.weight), handle(head.targets));
    // SAFETY: live handles; on success the out-parameter is a new tensor that we own.
    unsafe {
        check(grid_target_logprobs(hidden, weight, targets, head.chunk, &mut logprobs))?;
        Ok(Tensor::from_ptr(logprobs))
    }
}

/// While it lives, matrix products of this thread on this kind of device are made in bfloat16 (or not, see `off`).
#[derive(Debug)]
pub struct Autocast {
    cuda: c_int,
    before: c_int,
    region: bool,
    /// The setting belongs to a thread: the guard must end where it began.
    _not_send: std::marker::PhantomData<*const ()>,
}

impl Autocast {
    /// Casts to bfloat16; each weight is cast once as long as the outermost guard lives.
    pub fn bf16(device: Device) -> Result<Self, Error> {
        // SAFETY: plain numbers.
        check(unsafe { grid_autocast_region(1) })?;
        Self::set(device, true, true)
    }

    /// Computes in the precision of the operands again.
    pub fn off(device: Device) -> Result<Self, Error> {
        Self::set(device, false, false)
    }

    fn set(device: Device, enabled: bool, region: bool) -> Result<Self, Error> {
        let (cuda, mut before) = (c_int::from(device.is_cuda()), 0);
        // SAFETY: `before` outlives the call.
        check(unsafe { grid_set_autocast(cuda, c_int::from(enabled), &mut before) })?;
        Ok(Self { cuda, before, region, _not_send: std::marker::PhantomData })
    }
}

impl Drop for Autocast {
    fn drop(&mut self) {
        let mut ignored = 0;
        // SAFETY: plain numbers; neither call can fail for a device that was accepted before.
        unsafe {
            grid_set_autocast(self.cuda, self.before, &mut ignored);
            if self.region {
                grid_autocast_region(0);
            }
        }
    }
}

/// Full float32 products instead of TF32, and kernels that repeat bit for bit where libtorch has them.
pub fn set_exact(exact: bool) -> Result<(), Error> {
    // SAFETY: a plain number.
    check(unsafe { grid_set_exact(c_int::from(exact)) })
}

/// Memory of a CUDA device, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// In tensors now.
    pub allocated: i64,
    /// In tensors at the worst moment.
    pub peak: i64,
    /// Held by libtorch's cache.
    pub reserved: i64,
    /// Free on the device.
    pub free: i64,
    /// On the device.
    pub total: i64,
}

/// Memory statistics of a CUDA device.
pub fn memory(index: usize) -> Result<Memory, Error> {
    let mut bytes = [0; 5];
    // SAFETY: the shim writes five numbers.
    check(unsafe { grid_memory(c_int::try_from(index).unwrap_or(c_int::MAX), bytes.as_mut_ptr()) })?;
    let [allocated, peak, reserved, free, total] = bytes;
    Ok(Memory { allocated, peak, reserved, free, total })
}

/// Gives cached device memory back.
pub fn empty_cache() -> Result<(), Error> {
    // SAFETY: no arguments.
    check(unsafe { grid_empty_cache() })
}
