"""Where kohya's train_network.py logs its curves, here."""

from scumble.edit.foreign_settings import Account

USUAL_PROJECT = "network_train"
"""The project in wandb when nobody says."""
TRACKERS = ("tensorboard", "wandb", "all")
ONLINE = "taken; wandb logs on this machine: 'wandb sync' afterwards, or WANDB_MODE=online before"
OF_WANDB = {
    "wandb_run_name": "a run has its own name there: give output.name",
    "log_tracker_config": "wandb is asked for the project alone: give it the rest in its environment variables",
    "wandb_api_key": "keys are not kept in settings: run 'wandb login' once, or set WANDB_API_KEY",
}
"""Key that has no effect without wandb -> what to do where it has one."""
SECRET = "(not repeated here)"


def trackers(account: Account) -> None:
    """Deal with the keys that say who shows the curves; TensorBoard's files are always in the run's folder."""
    chosen = account.take("log_with")
    if chosen is not None and chosen not in TRACKERS:
        account.refuse("log_with", chosen, "curves go to TensorBoard; see output.report_to for the others")
        chosen = None
    if chosen is not None:
        account.put("output.report_to", [chosen])
    has_wandb = chosen in ("wandb", "all")
    if has_wandb:
        account.refuse("log_with", chosen, ONLINE)
    project = account.take("log_tracker_name")
    if has_wandb:
        account.put("output.tracker_project_name", project or USUAL_PROJECT)
    elif project is not None:
        account.idle.append("log_tracker_name")
    for key, advice in OF_WANDB.items():
        value = account.take(key)
        if value is not None and has_wandb:
            account.refuse(key, SECRET if key == "wandb_api_key" else value, advice)
        elif value is not None:
            account.idle.append(key)
