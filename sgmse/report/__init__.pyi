from .clips import files_by_recording as files_by_recording
from .page import write_report as write_report
from .text import latex as latex
from .text import summary as summary
from .text import to_csv as to_csv
from .text import to_json as to_json
from .text import write as write
