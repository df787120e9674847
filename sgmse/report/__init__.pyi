from .clips import files_by_recording as files_by_recording
from .page import write_report as write_report
from .reading import from_csv as from_csv
from .text import (
    latex as latex,
    summary as summary,
    to_csv as to_csv,
    to_json as to_json,
    write as write,
)
