"""The Spot estimate: a fraction of the On-Demand price by kind of type, times a factor by type and zone.

No registry has Spot prices. This rule gives figures of a plausible size and spread, so that plans on the embedded catalog
have the shape of real ones; it observes nothing. Sources and weaknesses: ../README.md. Integers throughout: the result does
not depend on a machine's floating point.
"""

# Per mille of the On-Demand price; the first kind that fits.
ACCELERATED, BARE_METAL, BURSTABLE, PREVIOUS_GENERATION, VERY_LARGE = 500, 420, 420, 360, 400
BY_CATEGORY = {
    **dict.fromkeys(["c", "hpc"], 460),
    **dict.fromkeys(["m", "a"], 430),
    **dict.fromkeys(["r", "x", "z", "u"], 390),
    **dict.fromkeys(["i", "im", "is", "d", "h"], 410),
}
OTHER = 430
AMD_SURCHARGE = 40
VERY_LARGE_VCPUS = 96


def fnv1a_32(text):
    """The 32-bit Fowler-Noll-Vo hash, variant 1a."""
    value = 0x811C9DC5
    for byte in text.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


def per_mille(facts, category):
    """Fraction of the On-Demand price for a type, in thousandths."""
    amd = AMD_SURCHARGE if facts["ProcessorInfo"]["Manufacturer"] == "AMD" else 0
    if any(kind in facts for kind in ["GpuInfo", "NeuronInfo", "InferenceAcceleratorInfo", "FpgaInfo", "MediaAcceleratorInfo"]):
        return ACCELERATED
    if facts["BareMetal"]:
        return BARE_METAL + amd
    if facts["BurstablePerformanceSupported"]:
        return BURSTABLE + amd
    if not facts["CurrentGeneration"]:
        return PREVIOUS_GENERATION + amd
    if facts["VCpuInfo"]["DefaultVCpus"] >= VERY_LARGE_VCPUS:
        return VERY_LARGE + amd
    return BY_CATEGORY.get(category, OTHER) + amd


def price(on_demand_micros, thousandths, name, zone):
    """Micro-dollars per hour, a multiple of 100 (four decimals of a dollar), at least 100."""
    # 0.88 to 1.12 in 10,000 steps, in units of 10^-8.
    factor = 88_000_000 + 2_400 * (fnv1a_32(f"{name}/{zone}") % 10_001)
    divisor = 1000 * 100_000_000 * 100
    return max(1, (on_demand_micros * thousandths * factor + divisor // 2) // divisor) * 100
