"""Pieces of what alerts say, in the template language of Prometheus."""

from typing import Final

from dashboards.names import Uid

PROVIDER: Final = "{{ $labels.provider }}"
CANARY: Final = "Canary {{ $labels.canary }}"
INSTANCE: Final = "{{ $labels.instance }}"
SHARE: Final = "{{ $value | humanizePercentage }}"
NUMBER: Final = '{{ $value | printf "%.0f" }}'
DURATION: Final = "{{ $value | humanizeDuration }}"
DELIVERY_BOARD: Final = f"/{Uid.DELIVERY}?var-provider={PROVIDER}"
CHANNELS_BOARD: Final = f"/{Uid.CHANNELS}?var-provider={PROVIDER}"
CANARIES_BOARD: Final = f"/{Uid.CANARIES}?var-provider={PROVIDER}&var-canary={{{{ $labels.canary }}}}"
MONITOR_BOARD: Final = f"/{Uid.MONITOR}"


def counted(recorded: str) -> str:
    """The provider's value of a recorded series, as a whole number."""
    asked = f'printf `{recorded}{{provider="%s"}}` $labels.provider | query'
    return f'{{{{ with {asked} }}}}{{{{ . | first | value | printf "%.0f" }}}}{{{{ else }}}}0{{{{ end }}}}'
