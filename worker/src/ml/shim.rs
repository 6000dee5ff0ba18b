//! Safe wrappers of the C++ functions in `cpp/`.

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
        row_weights: Handle,
        row_smoothing: Handle,
        scale: f64,
        smoothing: f64,
        chunk: i64,
        bf16: c_int,
        loss: *mut Handle,
        row_losses: *mut Handle,
        hidden_gradient: *mut Handle,
    ) -> c_int;
    fn grid_target_logprobs(hidden: Handle, weight: Handle, targets: Handle, chunk: i64, out: *mut Handle) -> c_int;
    fn grid_fused_lanes() -> i64;
    fn grid_instruction_set() -> *const c_char;
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
        normalized: *mut Handle,
    ) -> c_int;
    fn grid_swiglu(gate_up: Handle, inner: *mut Handle) -> c_int;
    fn grid_linear(x: Handle, weight: Handle, bias: Handle, y: *mut Handle) -> c_int;
    fn grid_store_texts(
        packed: Handle,
        heads: i64,
        kv_heads: i64,
        cosine: Handle,
        sine: Handle,
        first: i64,
        keys: Handle,
        values: Handle,
    ) -> c_int;
    fn grid_cached_attention(
        packed: Handle,
        heads: i64,
        kv_heads: i64,
        cosine: Handle,
        sine: Handle,
        positions: Handle,
        longest: i64,
        keys: Handle,
        values: Handle,
        output: *mut Handle,
    ) -> c_int;
    fn grid_gelu(x: Handle, y: *mut Handle) -> c_int;
    fn grid_set_exact(exact: c_int) -> c_int;
    fn grid_memory(device: c_int, bytes: *mut i64) -> c_int;
    fn grid_empty_cache() -> c_int;
}

fn check(code: c_int) -> Result<(), Error> {
    if code == 0 {
        return Ok(());
    }
    // SAFETY: the shim keeps a NUL-terminated message for each thread until the next failure on that thread.
    let message = unsafe { CStr::from_ptr(grid_last_error()) }.to_string_lossy().into_owned();
    Err(if code == 2 { Error::OutOfMemory(message) } else { Error::Torch(message) })
}

fn handle(tensor: &Tensor) -> Handle {
    tensor.as_ptr().cast_mut()
}

fn handles<'a>(tensors: impl IntoIterator<Item = &'a Tensor>) -> Vec<Handle> {
    tensors.into_iter().map(handle).collect()
}

/// The description of its own build that the loaded libtorch gives.
pub(super) fn configuration() -> Result<String, Error> {
    let mut text = vec![0u8; 1 << 14];
    // SAFETY: the shim writes at most `capacity` bytes, the last of them NUL.
    check(unsafe { grid_configuration(text.as_mut_ptr().cast(), text.len()) })?;
    Ok(CStr::from_bytes_until_nul(&text).unwrap_or_default().to_string_lossy().into_owned())
}

/// Global L2 norm of the gradients of these parameters, a 0-dim tensor on their device.
pub(super) fn gradient_norm<'a>(parameters: impl IntoIterator<Item = &'a Tensor>) -> Result<Tensor, Error> {
    let parameters = handles(parameters);
    let mut norm = null_mut();
    // SAFETY: the handles are alive for the call; on success `norm` is a new tensor that the caller owns.
    unsafe {
        check(grid_gradient_norm(parameters.as_ptr(), parameters.len(), &mut norm))?;
        Ok(Tensor::from_ptr(norm))
    }
}

/// The hyperparameters of one AdamW step.
#[derive(Debug, Clone, Copy)]
pub(super) struct AdamWStep {
    /// Learning rate of this step.
    pub learning_rate: f64,
    /// Decay rates of the two moments.
    pub betas: [f64; 2],
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Added to the square root of the second moment.
    pub epsilon: f64,
}

/// One fused AdamW step over parameters with gradients, which are divided by `grad_scale` (0-dim) on the way.
///
/// `steps` is the 0-dim step counter, which the caller has already incremented.
pub(super) fn fused_adamw(
    parameters: &[&Tensor],
    first: &[&Tensor],
    second: &[&Tensor],
    steps: &Tensor,
    grad_scale: Option<&Tensor>,
    hyperparameters: AdamWStep,
) -> Result<(), Error> {
    assert!(parameters.len() == first.len() && first.len() == second.len(), "one pair of moments per parameter");
    let [parameters, first, second] = [parameters, first, second].map(|list| handles(list.iter().copied()));
    let AdamWStep { learning_rate, betas: [beta1, beta2], weight_decay, epsilon } = hyperparameters;
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

/// Frees the gradients, so that the next backward pass stores its own instead of adding to zeros.
pub(super) fn clear_gradients<'a>(parameters: impl IntoIterator<Item = &'a Tensor>) -> Result<(), Error> {
    let parameters = handles(parameters);
    // SAFETY: the handles are alive for the call.
    check(unsafe { grid_clear_gradients(parameters.as_ptr(), parameters.len()) })
}

/// Runs the graph behind `output` backwards, starting from the gradient of `output`.
pub(super) fn backward(output: &Tensor, gradient: &Tensor) -> Result<(), Error> {
    // SAFETY: both handles are alive for the call.
    check(unsafe { grid_backward(handle(output), handle(gradient)) })
}

/// The inputs of a vocabulary head.
#[derive(Debug, Clone, Copy)]
pub(super) struct VocabularyHead<'a> {
    /// Hidden states, `[rows, hidden]`.
    pub hidden: &'a Tensor,
    /// The weight of the head, `[vocab, hidden]`.
    pub weight: &'a Tensor,
    /// Target ids, `[rows]` int64.
    pub targets: &'a Tensor,
    /// The number of rows whose logits exist at the same time.
    pub chunk: i64,
    /// Whether matrix products are computed in bfloat16.
    pub bf16: bool,
}

/// How the targets of a head are smoothed: the share of each target's probability that is spread evenly over the
/// vocabulary, as in `torch.nn.CrossEntropyLoss`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Smoothing<'a> {
    /// The same share for every target.
    Fixed(f64),
    /// A share for each target, float32 `[rows]`.
    Each(&'a Tensor),
}

/// Summed cross entropy (0-dim, double) and, if a scale is given, the gradient of the hidden states times that scale.
///
/// With a scale, the equally scaled gradient of the head's weight is added to the gradient of that weight.
pub(super) fn head_loss(
    head: VocabularyHead<'_>,
    smoothing: Smoothing<'_>,
    scale: Option<f64>,
) -> Result<(Tensor, Option<Tensor>), Error> {
    let mut gradient = null_mut();
    let wanted = if scale.is_some() { &raw mut gradient } else { null_mut() };
    let loss = run_head(head, smoothing, null_mut(), scale.unwrap_or(1.0), null_mut(), wanted)?;
    // SAFETY: on success the out-parameter is null or a new tensor that the caller owns.
    Ok((loss, (!gradient.is_null()).then(|| unsafe { Tensor::from_ptr(gradient) })))
}

/// The cross entropy of each target, float32 `[rows]`, without gradients.
pub(super) fn token_losses(head: VocabularyHead<'_>) -> Result<Tensor, Error> {
    let mut losses = null_mut();
    let _sum = run_head(head, Smoothing::Fixed(0.0), null_mut(), 1.0, &raw mut losses, null_mut())?;
    // SAFETY: on success the out-parameter is a new tensor that the caller owns.
    Ok(unsafe { Tensor::from_ptr(losses) })
}

/// The gradient of the hidden states of `scale` times the sum of all cross entropies, each times its weight (float32
/// `[rows]`). The gradient of the head's weight is added to the gradient of that weight.
pub(super) fn weighted_head_gradient(head: VocabularyHead<'_>, weights: &Tensor, scale: f64) -> Result<Tensor, Error> {
    let mut gradient = null_mut();
    let _sum = run_head(head, Smoothing::Fixed(0.0), handle(weights), scale, null_mut(), &raw mut gradient)?;
    // SAFETY: on success the out-parameter is a new tensor that the caller owns.
    Ok(unsafe { Tensor::from_ptr(gradient) })
}

/// Calls the shim; null stands for what is not given or not wanted. Returns the summed loss.
fn run_head(
    head: VocabularyHead<'_>,
    smoothing: Smoothing<'_>,
    weights: Handle,
    scale: f64,
    losses: *mut Handle,
    gradient: *mut Handle,
) -> Result<Tensor, Error> {
    let (hidden, weight, targets) = (handle(head.hidden), handle(head.weight), handle(head.targets));
    let (each, fixed) = match smoothing {
        Smoothing::Fixed(share) => (null_mut(), share),
        Smoothing::Each(shares) => (handle(shares), 0.0),
    };
    let bf16 = c_int::from(head.bf16);
    let mut loss = null_mut();
    // SAFETY: live or null handles; on success the out-parameters that are not null are new tensors that the caller owns.
    unsafe {
        check(grid_head_loss(
            hidden, weight, targets, weights, each, scale, fixed, head.chunk, bf16, &mut loss, losses, gradient,
        ))?;
        Ok(Tensor::from_ptr(loss))
    }
}

/// Log-probability of each target, `[rows]`.
pub(super) fn target_logprobs(head: VocabularyHead<'_>) -> Result<Tensor, Error> {
    let mut logprobs = null_mut();
    let (hidden, weight, targets) = (handle(head.hidden), handle(head.weight), handle(head.targets));
    // SAFETY: live handles; on success the out-parameter is a new tensor that the caller owns.
    unsafe {
        check(grid_target_logprobs(hidden, weight, targets, head.chunk, &mut logprobs))?;
        Ok(Tensor::from_ptr(logprobs))
    }
}

/// Whether the fused operations support this tensor, whose rows (or heads) have this width.
pub(super) fn can_fuse(tensor: &Tensor, width: i64) -> bool {
    // SAFETY: no arguments.
    let lanes = unsafe { grid_fused_lanes() };
    lanes > 0 && tensor.device() == Device::Cpu && width > 0 && width % (2 * lanes) == 0
}

/// The instruction set of the fused operations (`AVX-512`, `AVX2`), or `None` on a processor that has none of them.
pub(super) fn instruction_set() -> Option<&'static str> {
    // SAFETY: no arguments; the result is null or a NUL-terminated string that is never freed.
    unsafe {
        let name = grid_instruction_set();
        if name.is_null() { None } else { CStr::from_ptr(name).to_str().ok() }
    }
}

/// Fused causal attention; `angles` are the cosines and sines of rotary positions, `[positions, dim / 2]`.
///
/// packed `[batch, seq, (heads + 2 * kv_heads) * dim]` -> `[batch, seq, heads * dim]`
pub(super) fn causal_attention(
    packed: &Tensor,
    heads: i64,
    kv_heads: i64,
    angles: Option<(&Tensor, &Tensor)>,
) -> Result<Tensor, Error> {
    let (cosine, sine) = angles.map_or((null_mut(), null_mut()), |(cosine, sine)| (handle(cosine), handle(sine)));
    let mut output = null_mut();
    // SAFETY: live handles, null where there are no angles; on success the out-parameter is a new tensor that the caller owns.
    unsafe {
        check(grid_causal_attention(handle(packed), heads, kv_heads, cosine, sine, &mut output))?;
        Ok(Tensor::from_ptr(output))
    }
}

/// Fused `x + branch` and the RMSNorm of the sum, in float32 or bfloat16; all `[.., width]`, `gain` `[width]`.
pub(super) fn add_norm(
    x: &Tensor,
    branch: Option<&Tensor>,
    gain: &Tensor,
    epsilon: f64,
    bf16: bool,
) -> Result<(Tensor, Tensor), Error> {
    let (mut residual, mut normalized) = (null_mut(), null_mut());
    let (added, bf16) = (branch.map_or(null_mut(), handle), c_int::from(bf16));
    // SAFETY: live handles, null where there is no branch; on success the out-parameters are new tensors that the caller owns, the first
    // of them only if there is a branch.
    unsafe {
        check(grid_add_norm(handle(x), added, handle(gain), epsilon, bf16, &mut residual, &mut normalized))?;
        let residual = if branch.is_some() { Tensor::from_ptr(residual) } else { x.shallow_clone() };
        Ok((residual, Tensor::from_ptr(normalized)))
    }
}

/// Fused `silu(gate) * up`: `[.., 2 * width]` -> `[.., width]`.
pub(super) fn swiglu(gate_up: &Tensor) -> Result<Tensor, Error> {
    let mut inner = null_mut();
    // SAFETY: a live handle; on success the out-parameter is a new tensor that the caller owns.
    unsafe {
        check(grid_swiglu(handle(gate_up), &mut inner))?;
        Ok(Tensor::from_ptr(inner))
    }
}

/// `x @ weight.T + bias` without gradients, each row of which is the same for any other rows, bit for bit: `[.., in]`,
/// `[out, in]` of the same kind, `[out]` float32 -> `[.., out]`.
pub(super) fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor, Error> {
    let mut y = null_mut();
    // SAFETY: the handles are live, and null if there is no bias; on success the caller owns the new tensor in `y`.
    unsafe {
        check(grid_linear(handle(x), handle(weight), bias.map_or(null_mut(), handle), &mut y))?;
        Ok(Tensor::from_ptr(y))
    }
}

/// The cached keys `[slots, kv_heads, dim, capacity]` and values `[slots, kv_heads, capacity, dim]` of a layer, float32.
#[derive(Debug, Clone, Copy)]
pub(super) struct CachedHeads<'a> {
    /// The number of query heads.
    pub heads: i64,
    /// The number of key heads.
    pub kv_heads: i64,
    /// The cosines and sines of rotary positions, `[positions, dim / 2]`.
    pub angles: Option<(&'a Tensor, &'a Tensor)>,
    /// The keys.
    pub keys: &'a Tensor,
    /// The values.
    pub values: &'a Tensor,
}

impl CachedHeads<'_> {
    fn angles(&self) -> (Handle, Handle) {
        self.angles.map_or((null_mut(), null_mut()), |(cosine, sine)| (handle(cosine), handle(sine)))
    }
}

/// Stores the keys and values of new texts, packed `[batch, seq, ..]`, in the slots from `first` on.
pub(super) fn store_texts(packed: &Tensor, cache: CachedHeads<'_>, first: i64) -> Result<(), Error> {
    let CachedHeads { heads, kv_heads, keys, values, .. } = cache;
    let (cosine, sine) = cache.angles();
    // SAFETY: live handles, null where there are no angles; the shim checks all shapes.
    check(unsafe {
        grid_store_texts(handle(packed), heads, kv_heads, cosine, sine, first, handle(keys), handle(values))
    })
}

/// Attention of one more token of each text, packed `[batch, 1, ..]`, at these positions, int64 `[batch]`, all below
/// `longest` -> `[batch, 1, heads * dim]`. Its keys and values are stored.
pub(super) fn cached_attention(
    packed: &Tensor,
    cache: CachedHeads<'_>,
    positions: &Tensor,
    longest: i64,
) -> Result<Tensor, Error> {
    let CachedHeads { heads, kv_heads, keys, values, .. } = cache;
    let ((cosine, sine), packed, positions) = (cache.angles(), handle(packed), handle(positions));
    let (keys, values) = (handle(keys), handle(values));
    let mut output = null_mut();
    // SAFETY: live handles, null where there are no angles; the shim checks all shapes and positions; on success the
    // out-parameter is a new tensor that the caller owns.
    unsafe {
        check(grid_cached_attention(
            packed,
            heads,
            kv_heads,
            cosine,
            sine,
            positions,
            longest,
            keys,
            values,
            &mut output,
        ))?;
        Ok(Tensor::from_ptr(output))
    }
}

/// GELU in its tanh form, without gradients.
pub(super) fn gelu(x: &Tensor) -> Result<Tensor, Error> {
    let mut y = null_mut();
    // SAFETY: a live handle; on success the out-parameter is a new tensor that the caller owns.
    unsafe {
        check(grid_gelu(handle(x), &mut y))?;
        Ok(Tensor::from_ptr(y))
    }
}

/// Selects full float32 products instead of TF32, and deterministic kernels where libtorch has them.
pub(super) fn set_exact(exact: bool) -> Result<(), Error> {
    // SAFETY: a plain number.
    check(unsafe { grid_set_exact(c_int::from(exact)) })
}

/// Memory statistics of a CUDA device, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceMemory {
    /// Allocated to tensors now.
    pub allocated: i64,
    /// The highest amount that was allocated to tensors.
    pub peak: i64,
    /// Held by the caching allocator of libtorch.
    pub reserved: i64,
    /// Free on the device.
    pub free: i64,
    /// The size of the device's memory.
    pub total: i64,
}

/// The memory statistics of a CUDA device.
pub fn device_memory(index: usize) -> Result<DeviceMemory, Error> {
    let mut bytes = [0; 5];
    // SAFETY: the shim writes five numbers.
    check(unsafe { grid_memory(c_int::try_from(index).unwrap_or(c_int::MAX), bytes.as_mut_ptr()) })?;
    let [allocated, peak, reserved, free, total] = bytes;
    Ok(DeviceMemory { allocated, peak, reserved, free, total })
}

/// Returns cached device memory to the driver.
pub fn empty_cache() -> Result<(), Error> {
    // SAFETY: no arguments.
    check(unsafe { grid_empty_cache() })
}
