"""The samplers' mathematics by name."""

from collections.abc import Mapping

from scumble.generate.samplers.dpm_2 import dpm_2, dpm_2_ancestral
from scumble.generate.samplers.dpmpp_2m import dpmpp_2m
from scumble.generate.samplers.dpmpp_2m_sde import dpmpp_2m_sde, dpmpp_2m_sde_heun
from scumble.generate.samplers.dpmpp_2s_a import dpmpp_2s_ancestral
from scumble.generate.samplers.dpmpp_3m_sde import dpmpp_3m_sde
from scumble.generate.samplers.dpmpp_sde import dpmpp_sde
from scumble.generate.samplers.euler import euler, euler_ancestral
from scumble.generate.samplers.heun import heun
from scumble.generate.samplers.lcm import lcm
from scumble.generate.samplers.lms import lms
from scumble.generate.samplers.plms import plms
from scumble.generate.samplers.point import Function
from scumble.generate.samplers.restart import restart
from scumble.generate.samplers.unipc import unipc

FUNCTIONS: Mapping[str, Function] = {
    "Euler a": euler_ancestral,
    "Euler": euler,
    "DPM++ 2M": dpmpp_2m,
    "DPM++ SDE": dpmpp_sde,
    "DPM++ 2M SDE": dpmpp_2m_sde,
    "DPM++ 2M SDE Heun": dpmpp_2m_sde_heun,
    "DPM++ 2S a": dpmpp_2s_ancestral,
    "DPM++ 3M SDE": dpmpp_3m_sde,
    "LMS": lms,
    "Heun": heun,
    "DPM2": dpm_2,
    "DPM2 a": dpm_2_ancestral,
    "Restart": restart,
    "DDIM": euler,
    "PLMS": plms,
    "UniPC": unipc,
    "LCM": lcm,
    "DDPM": euler_ancestral,
}
"""Name of `names.SAMPLERS` -> what it does."""
