"""What a visitor uploads: handed over once, and then no longer kept by the server."""

from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.uploaded_file_manager import UploadedFile


def take(file: UploadedFile) -> bytes:
    """The content of an uploaded file, which the server lets go of.

    Left to itself, Streamlit keeps every file of a session to its end: the browser asks it to delete one only when a
    person does. So it does itself with what its chat input has handed over.
    """
    content = file.getvalue()
    context = get_script_run_ctx()
    if context is not None and isinstance(context.uploaded_file_mgr, MemoryUploadedFileManager):
        context.uploaded_file_mgr.remove_file(context.session_id, file.file_id)
    return content
