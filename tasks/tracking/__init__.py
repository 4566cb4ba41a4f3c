"""What MLflow is told of a run: on this machine's disk first, then sent, in spite of outages."""

from tasks.tracking.asking import fetch as fetch
from tasks.tracking.asking import files_of as files_of
from tasks.tracking.asking import run_of as run_of
from tasks.tracking.asking import runs_of as runs_of
from tasks.tracking.client import first_words as first_words
from tasks.tracking.following import follow as follow
from tasks.tracking.records import Record as Record
from tasks.tracking.runs import pipeline as pipeline
from tasks.tracking.runs import resume as resume
from tasks.tracking.runs import run as run
from tasks.tracking.runs import under as under
from tasks.tracking.values import ALONE as ALONE
from tasks.tracking.values import Other as Other
from tasks.tracking.values import PrunedError as PrunedError
from tasks.tracking.values import Told as Told
from tasks.tracking.values import Tracker as Tracker
