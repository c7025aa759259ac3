"""Whether a device can be used here."""

from __future__ import annotations

import torch

from ..errors import Code, XrayInterpError


def usable(device: str | torch.device) -> torch.device:
    """The device by name, after something was put there.

    Raises:
        XrayInterpError: `bad-option` where there is no such device.
    """
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:  # torch asserts where it was built without CUDA
        reason = str(error).splitlines()[0]
        raise XrayInterpError(
            Code.BAD_OPTION, f"The device '{device}' cannot be used: {reason}.", "Use cpu."
        ) from error
