"""Audio at 8 kHz as the packets of a codec, whether its octets can be cut or not."""

from media.codecs import encoder_at, is_uneven, octets_in, ticks_of


def packets_of(codec, audio, encoder=None, samples=160):
    """One payload for each so many samples; an end that is shorter is left out of an uneven codec."""
    encoder = encoder or encoder_at(codec, 8000)
    if is_uneven(codec):
        return [encoder.encode(audio[at : at + samples]) for at in range(0, audio.size - samples + 1, samples)]
    wire, size = encoder.encode(audio), octets_in(codec, samples * codec.clock_rate // 8000)
    return [wire[at : at + size] for at in range(0, len(wire), size)]


def lasts(codec, payloads):
    """What packets last, in ticks of the RTP clock."""
    return {ticks_of(codec, payload) for payload in payloads}
