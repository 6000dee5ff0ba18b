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
    fn grid_fused_lanes() -> i64;
    fn grid_causal_attention(
        packed: Handle,
        heads: i64,
        kv_heads: i64,
        cosine: Handle,
        sine: Handle,
        output: *mut Handle,
    ) -> c_int;
    fn grid_add_norm(
        x: Handle,
        branch: Handle,
        gain: Handle,
        epsilon: f64,
        bf16: c_int,
        residual: *mut Handle,
        normalised: *mut Handle,
    ) -> c_int;
    fn grid_swiglu(gate_up: Handle, inner: *mut Handle) -> c_int;
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

/// Whether the fused operations take this tensor, whose rows (or heads) have this width.
pub fn can_fuse(tensor: &Tensor, width: i64) -> bool {
    // SAFETY: no arguments.
    let lanes = unsafe { grid_fused_lanes() };
    lanes > 0 && tensor.device() == Device::Cpu && width > 0 && width % (2 * lanes) == 0
}

/// Fused causal attention; `angles` are cosines and sines `[positions, dim / 2]`.
///
/// packed `[batch, seq, (heads + 2 * kv_heads) * dim]` -> `[batch, seq, heads * dim]`
pub fn causal_attention(
    packed: &Tensor,
    heads: i64,
    kv_heads: i64,
    angles: Option<(&Tensor, &Tensor)>,
) -> Result<Tensor, Error> {
    let (cosine, sine) = angles.map_or((null_mut(), null_mut()), |(cosine, sine)| (handle(cosine), handle(sine)));
    let mut output = null_mut();
    // SAFETY: live handles, null for no angles; on success the out-parameter is a new tensor that we own.
    unsafe {
        check(grid_causal_attention(handle(packed), heads, kv_heads, cosine, sine, &mut output))?;
        Ok(Tensor::from_ptr(output))
    }
}

/// Fused `x + branch`, and its RMSNorm in float32 or bfloat16; all `[.., width]`, `gain` `[width]`.
pub fn add_norm(
    x: &Tensor,
    branch: Option<&Tensor>,
    gain: &Tensor,
    epsilon: f64,
    bf16: bool,
) -> Result<(Tensor, Tensor), Error> {
    let (mut residual, mut normalised) = (null_mut(), null_mut());
    let (added, bf16) = (branch.map_or(null_mut(), handle), c_int::from(bf16));
    // SAFETY: live handles, null for no branch; on success the out-parameters are new tensors that we own, the first
    // of them only if there is a branch.
    unsafe {
        check(grid_add_norm(handle(x), added, handle(gain), epsilon, bf16, &mut residual, &mut normalised))?;
        let residual = if branch.is_some() { Tensor::from_ptr(residual) } else { x.shallow_clone() };
        Ok((residual, Tensor::from_ptr(normalised)))
    }
}

/// Fused `silu(gate) * up`: `[.., 2 * width]` -> `[.., width]`.
pub fn swiglu(gate_up: &Tensor) -> Result<Tensor, Error> {
    let mut inner = null_mut();
    // SAFETY: a live handle; on success the out-parameter is a new tensor that we own.
    unsafe {
        check(grid_swiglu(handle(gate_up), &mut inner))?;
        Ok(Tensor::from_ptr(inner))
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
